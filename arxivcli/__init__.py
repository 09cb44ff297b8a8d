"""Put scientific papers into arXiv categories from title and abstract."""

__version__ = "0.1.0"
