"""Short texts of many kinds that come with the package."""
