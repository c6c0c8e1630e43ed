prospector { memory_limit = "4 MiB" }
