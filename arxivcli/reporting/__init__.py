"""Reports people read: figures, pages of one file, and folders of both. Given plain arrays; asks no step anything."""

import logging

# Before it is imported: it tells of its cache of fonts and of settings files, and neither is anybody's concern here.
logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
