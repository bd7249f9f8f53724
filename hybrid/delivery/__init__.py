"""Carrying a bundle to a site: over SSH, resumable, and checked where it arrives.

`deliver(bundle, destination, ...)` is the public verb. The modules: `destination` (whom `--to` names), `host_keys`
(whose key is known), `connection` (an SSH connection that never waits for ever), `parcel` (the files of a bundle),
`far_end` (what is asked of the site), `transfer` (one file), `delivery` (the whole). Imports nothing of ours but
`hybrid.errors`; it decides no trust: what arrives is verified at the site, by the site's own verifier.
"""
