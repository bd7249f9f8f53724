"""Why a plan is as it is: causes with numbers, repairs with prices, the cost of a rule, and what a change would do.

`court` asks whether something could be served, the `oracle` answers, `causes` and `repairs` say what stands in the way
and what would help; nothing here ever decides a plan or relaxes the law. May import the exact engine, which is asked
where the oracle cannot know.
"""
