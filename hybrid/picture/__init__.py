"""Pictures for people who would rather look: sites by zone with the flows between them, and the page of a plan.

`zones` draws (residency reports use it too), `plan_page` writes a plan as one HTML file. May import sites and
placement; decides nothing, and every page stands alone: no script, no font, nothing from anywhere.
"""
