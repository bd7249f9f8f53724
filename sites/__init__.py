"""What places exist, and under which law.

Nouns of sites, data and policy, the strict reader that makes them, and the evaluator that says what is permitted.
It imports nothing of ours, touches no network, and never guesses a missing fact.
"""
