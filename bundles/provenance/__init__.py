"""Says where what a bundle carries comes from: in words that other tools read, carried and signed like every file.

Rooms: `card` (what is known of a model, for the bill of materials) · `licences` (of wheels) · `statements` (in-toto
statements: how a model was built, how it was evaluated). They decide nothing at a site.
"""
