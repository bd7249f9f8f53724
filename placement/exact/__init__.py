"""The proven optimum of small fleets: mixed-integer programmes that HiGHS solves, one per goal and group.

`engine.solve` is the door. May import what `placement` has below the engine, never the search, the bound or an
explanation.
"""
