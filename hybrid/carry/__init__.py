"""What a site's bundle carries, and what the site asks of it at the door.

Lives here: `cargo` (a plan and its fleet to the files of one bundle), `door` (residency before an install) and
`golden` (does the staged release answer as it did at headquarters). `bundles` knows no law and no models; these are
the functions it is passed.
"""
