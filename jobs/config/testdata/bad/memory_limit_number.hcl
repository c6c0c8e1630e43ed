prospector { memory_limit = 512 }
