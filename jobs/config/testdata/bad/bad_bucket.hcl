sink "gcs" "uri" { bucket = "gs://acme-lake" }
sink "gcs" "folder" { bucket = "acme-lake/knock" }
sink "gcs" "case" { bucket = "Acme" }
sink "gcs" "short" { bucket = "a" }
sink "gcs" "address" { bucket = "10.0.0.1" }
sink "gcs" "google" { bucket = "my-google-lake" }
sink "gcs" "dots" { bucket = "acme..lake" }
