"""Mutants that answer as their originals do, whatever is asked: by module and name, each with the reason."""

from __future__ import annotations

SAME_WORD = "`ORIGIN` is no place, and nothing lies within it"
NEVER_NONE = "a condition is asked only where its rule gives it"
NO_SITE = "a question has a site or a hop, and transit none but a hop"
FALSY = "`or ()` takes an empty, a missing and a false one alike"
BOTH_UNKNOWN = "a party that nobody named lies nowhere known, so the other half of the condition is unknown too"

EQUIVALENT: dict[str, dict[str, str]] = {
    "sites.question": {
        "sites: self.hop is not None and self.activity == 'transit' -> self.activity == 'transit'": NO_SITE,
        "with_subprocessors: None -> False": FALSY,
    },
    "sites.conditions": {
        "_countries: rule.countries or () -> rule.countries": NEVER_NONE,
        "_countries: for region in named if region != 'ORIGIN' -> for region in named": SAME_WORD,
        "_holds_keys: None -> True": BOTH_UNKNOWN,
        "_purposes: rule.purposes or () -> rule.purposes": NEVER_NONE,
        "_identifiability: rule.identifiability or () -> rule.identifiability": NEVER_NONE,
        "_bases: None -> False (2)": FALSY,
        "counts: rule.assurances or () -> rule.assurances": NEVER_NONE,
        "covers: rule.instrument or () -> rule.instrument": NEVER_NONE,
    },
    "placement.check.conditions": {
        "_countries: ground.rule.countries or () -> ground.rule.countries": NEVER_NONE,
        "_countries: for region in named if region != 'ORIGIN' -> for region in named": SAME_WORD,
        "_compellable_by: ground.rule.compellable_by.within if ground.rule.compellable_by else () "
        "-> ground.rule.compellable_by.within": NEVER_NONE,
        "_readable_by: ground.rule.readable_by.within if ground.rule.readable_by else () "
        "-> ground.rule.readable_by.within": NEVER_NONE,
        "_readable_by: None -> True": BOTH_UNKNOWN,
        "_instrument: ground.rule.instrument or () -> ground.rule.instrument": NEVER_NONE,
        "_assured: ground.rule.assurances or () -> ground.rule.assurances": NEVER_NONE,
        "_purposes: ground.rule.purposes or () -> ground.rule.purposes": NEVER_NONE,
        "_identifiability: ground.rule.identifiability or () -> ground.rule.identifiability": NEVER_NONE,
        "_bases: None -> False (2)": FALSY,
    },
}
