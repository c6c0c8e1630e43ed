sink "gcs" "slashes" {
  bucket = "acme-lake"
  prefix = "knock//events"
}
sink "gcs" "control" {
  bucket = "acme-lake"
  prefix = "knock\u0007"
}
sink "gcs" "star" {
  bucket = "acme-lake"
  prefix = "knock/*"
}
sink "gcs" "dots" {
  bucket = "acme-lake"
  prefix = "../knock"
}
