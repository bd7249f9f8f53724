"""Mutants that no world tells from their originals: by module and name, each with the reason.

Most answer alike whatever is asked; those under ONE_HOP and RARE would be told apart by worlds that are not drawn.
"""

from __future__ import annotations

SAME_WORD = "`ORIGIN` is no place, and nothing lies within it"
NEVER_NONE = "a condition is asked only where its rule gives it"
NO_SITE = "a question has a site or a hop, and transit none but a hop"
FALSY = "`or ()` takes an empty, a missing and a false one alike"
BOTH_UNKNOWN = "a party that nobody named lies nowhere known, so the other half of the condition is unknown too"
REFUSED_BEFORE = "a policy that names a pack which nobody gives is refused when the fleet is read"
FOR_UNTIL = "bears on until when a permit stands, which the checker does not ask; tests/sites/test_verdict.py"
FASTER = "what is remembered, or asked once for all, is answered alike when it is asked again"
ROLE = "no answer depends on a role's name"
ALWAYS_GIVEN = "org-default is among the packs of every fleet"
NOT_WAIVED = "a waiver of a permit is refused when the fleet is read"
NO_OUTCOME = "whatever is neither a denial nor undetermined is a permit"
NUMBER = "gives a refusal its number, and no answer; tests/placement/test_mutants_plans.py"
PERMITS_ALONE = "only of permits is it asked whether somebody stands for them"
UNLABELLED_ALONE = "the unlabelled atom lies below no class"
NEVER_EMPTY = "no label is empty by the time that somebody asks; tests/sites/test_verdict.py"
TWICE = "what is asked twice is answered alike"
RARE = "differs only where every rule of every layer names an instrument, which is not drawn"
ONE_HOP = "worlds ask about one hop, and one set of activities, of each origin: what is remembered is not mistaken"

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
    "sites.verdict": {
        "__init__: {ORG_DEFAULT, *named} -> {*named}": REFUSED_BEFORE,
        "__init__: {ORG_DEFAULT, *named} -> {ORG_DEFAULT}": REFUSED_BEFORE,
        "__init__: if missing -> if False": REFUSED_BEFORE,
        "__init__: for rule in policy.spec.rules if self._waived_until(rule) is not None "
        "-> for rule in policy.spec.rules": FOR_UNTIL,
        "__init__: self._waived_until(rule) is not None -> self._waived_until(rule) is None": FOR_UNTIL,
        "decide: if (known := self._remembered.get(key)) is None -> if True": FASTER,
        "_key: (role, id(party)) -> (id(party),)": ROLE,
        "_key: None if q.hop is None else (id(q.hop[0]), id(q.hop[1])) -> None": ONE_HOP,
        "_key: (q.atom, q.activity, q.place, q.purpose, parties, id(q.site), ends, id(q.origin)) "
        "-> (q.atom, q.activity, q.place, q.purpose, parties, id(q.site), id(q.origin))": ONE_HOP,
        "_decide: self._rests_until(findings, question) if truth else None -> None": FOR_UNTIL,
        "_decide: None -> True": FOR_UNTIL,
        "_decide: None -> False": FOR_UNTIL,
        "_clause: rule.effect != 'permit' or (rule.confidence or missing) == 'high' or name in self.policy.spec.adopt "
        "-> (rule.confidence or missing) == 'high' or name in self.policy.spec.adopt": PERMITS_ALONE,
        "_select: if key not in self._selected -> if True": FASTER,
        "_select: for clause, truth in tried if truth is not False -> for clause, truth in tried": (
            "a rule that is not about the question neither forbids, nor permits, nor asks for anything"
        ),
        "_excused: atom.data != UNLABELLED and is_or_descends(atom.data, word.data) "
        "-> is_or_descends(atom.data, word.data)": UNLABELLED_ALONE,
        "_combine: (permit, *(clause for clause, _ in duties)) -> (*(clause for clause, _ in duties),)": FOR_UNTIL,
        "_combine: (permit, *(clause for clause, _ in duties)) -> (permit,)": FOR_UNTIL,
        "_spoken_for: if country not in self._spoken -> if True": FASTER,
        "_key: None -> True": ONE_HOP,
        "_key: None -> False": ONE_HOP,
        "_key: 0 -> 1": ONE_HOP,
        "_key: 1 -> 0": ONE_HOP,
        "_key: (id(q.hop[0]), id(q.hop[1])) -> (id(q.hop[1]),)": ONE_HOP,
        "_key: (id(q.hop[0]), id(q.hop[1])) -> (id(q.hop[0]),)": ONE_HOP,
    },
    "sites.decisions": {
        "stage_questions: (None, 'none', site.spec.activities.get('log', site.spec.location)) -> (None, 'none')": TWICE,
        "stage_questions: label or UNKNOWN_LABEL -> label": NEVER_EMPTY,
        "hop_questions: label or UNKNOWN_LABEL -> label": NEVER_EMPTY,
    },
    "placement.check.evaluator": {
        "asks_for_origin: return any((rule.instrument is not None or 'ORIGIN' in (rule.countries or ()) "
        "for rule in rules)) -> return True": FASTER,
        "asks_for_origin: rule.instrument is not None -> rule.instrument is None": RARE,
        "of: if key not in self._about -> if True": FASTER,
        "of: rule.effect == effect and selected(rule, case) is not False -> rule.effect == effect": (
            "a rule that is not about the case neither forbids, nor permits, nor asks for anything"
        ),
        "_own_layer: default.spec.rules if default else () -> default.spec.rules": ALWAYS_GIVEN,
        "_own_layer: rule.effect == 'permit' or rule.id not in waived -> rule.id not in waived": NOT_WAIVED,
        "_own_layer: 'permit' -> 'deny'": NOT_WAIVED,
        "_weigh: 'permit' -> 'prohibit'": NO_OUTCOME,
        "_weigh: 'permit' -> 'require'": NO_OUTCOME,
        "_required: () if value else failing(self._ground(rule, case)) -> ()": NUMBER,
        "_required: () if value else failing(self._ground(rule, case)) -> failing(self._ground(rule, case))": NUMBER,
        "purpose_layer: case.purpose or '' -> case.purpose": NEVER_NONE,
        "purpose_layer: 'permit' -> 'require'": NO_OUTCOME,
        "purpose_layer: 'permit' -> 'prohibit'": NO_OUTCOME,
        "_permitted: selected(rule, case) is True -> selected(rule, case) is not True": NUMBER,
        "_excused: case.atom.data != UNLABELLED and below(case.atom.data, entry.data) "
        "-> below(case.atom.data, entry.data)": UNLABELLED_ALONE,
        "_permitted: if selected(rule, case) is True -> if True": NUMBER,
        "_permitted: if selected(rule, case) is True -> if False": NUMBER,
        "_permitted: missed += tests -> pass": NUMBER,
    },
    "placement.check.questions": {
        "placing: ('placing', label, self._law(site), purpose, activities) "
        "-> ('placing', label, self._law(site), purpose)": ONE_HOP,
        "crossing: ('crossing', label, self._snapshot.crossing(a, b)) "
        "-> ('crossing', self._snapshot.crossing(a, b))": ONE_HOP,
        "crossing: ('crossing', label, self._snapshot.crossing(a, b)) -> ('crossing', label)": ONE_HOP,
        "telemetry: place is None or place == 'none' -> place == 'none'": TWICE,
        "telemetry: ('telemetry', label, self._law(site), purpose) -> (label, self._law(site), purpose)": (
            "keys of other questions are longer"
        ),
        "law_of: self._law(origin) if self._judge.asks_for_origin else None -> self._law(origin)": FASTER,
        "law_of: None -> True": FASTER,
        "law_of: None -> False": FASTER,
        "_of_label: if key not in self._labels -> if True": FASTER,
        "_remember: if key not in self._known -> if True": FASTER,
        "_on_hop: (atom, 'transit', self._snapshot.crossing(a, b)) -> (atom, self._snapshot.crossing(a, b))": FASTER,
        "_on_hop: (atom, 'transit', self._snapshot.crossing(a, b)) -> (atom, 'transit')": ONE_HOP,
        "_on_hop: 'transit' -> 'process'": FASTER,
        "parties_at: for role in named if role not in EXPECTED_ROLES -> for role in named": TWICE,
        "placing: ('placing', label, self._law(site), purpose, activities) "
        "-> (label, self._law(site), purpose, activities)": "keys of other questions are shorter",
        "crossing: ('crossing', label, self._snapshot.crossing(a, b)) -> (label, self._snapshot.crossing(a, b))": (
            "keys of other questions are longer"
        ),
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
