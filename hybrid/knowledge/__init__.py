"""The retrieval store: documents are cut, embedded and indexed at the site where they may live.

Lives here: passages, the index file, and building one. May import `hybrid.gateway.engines` and numpy; it may never
fetch a document or send one anywhere.
"""

from hybrid.knowledge.indexing import Listed, build_index, documents_in, documents_of, is_current, list_indexes
from hybrid.knowledge.store import Index, read_index

__all__ = ["Index", "Listed", "build_index", "documents_in", "documents_of", "is_current", "list_indexes", "read_index"]
