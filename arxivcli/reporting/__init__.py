"""Reports people read: figures, pages of one file, and folders of both. Given plain arrays; asks no step anything."""
