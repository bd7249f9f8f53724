"""What a site's bundle and seed carry, and what the site asks of them before and after they are relied on.

Lives here: `cargo` (a plan and its fleet to the files of one bundle), `card` (what a person compares a seed with),
`door` (residency before an install), `golden` (does the staged release answer as it did at headquarters), `health` and
`probe` (does the new service answer, and soon enough), `launch` (the verifier becomes the release's own runtime) and
`service` (user, permissions and units). `bundles` knows no law and no models; these are the functions it is passed.
"""
