prospector { memory_limit = "400" }
