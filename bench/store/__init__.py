"""Run folders: results, measurements and searches on disk."""
