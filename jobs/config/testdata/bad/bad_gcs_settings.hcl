variable "key" {
  type      = string
  sensitive = true
}
sink "gcs" "first" {
  bucket                      = "acme-lake"
  prefix                      = "first"
  credentials                 = "{\"type\": \"service_account\", \"client_email\": \"s3cr3t\"}"
  impersonate_service_account = "jane@example.com"
  user_project                = "projects/acme"
  kms_key_name                = "projects/acme/locations/eu/keyRings/lake/cryptoKeys/rows/cryptoKeyVersions/1"
  storage_class               = "nearlines"
  endpoint                    = "http://storage.example.com"
  metadata                    = { "a team" = "leasing" }
  timeout                     = "30"
  parallelism                 = 1000
}
sink "gcs" "second" {
  bucket                      = "acme-lake"
  prefix                      = "second"
  credentials                 = "{hunter2"
  impersonate_service_account = "serviceAccount:lake@acme.iam.gserviceaccount.com"
  user_project                = "Acme"
  kms_key_name                = "rows"
  storage_class               = "hot"
  endpoint                    = "https://sk_live@storage.example.com"
  metadata                    = ["leasing"]
  timeout                     = "500ms"
  parallelism                 = 0
}
sink "gcs" "third" {
  bucket                      = "acme-lake"
  prefix                      = "third"
  credentials                 = "{\"type\": \"hunter2\"}"
  impersonate_service_account = "lake"
  user_project                = var.key
  kms_key_name                = var.key
  storage_class               = var.key
  endpoint                    = var.key
  metadata                    = { team = "a\nb" }
}
sink "gcs" "fourth" {
  bucket      = "acme-lake"
  prefix      = "fourth"
  credentials = "{\"installed\": {\"client_secret\": \"hunter2\"}}"
  endpoint    = "https://storage.example.com/my/path"
  metadata    = { Team = "a", team = "b" }
}
sink "gcs" "fifth" {
  bucket      = "acme-lake"
  prefix      = "fifth"
  credentials = "{\"type\": \"service_account\", \"client_email\": \"x\", \"private_key\": \"hunter2\"}"
  endpoint    = "storage.example.com"
  metadata    = { team = null }
}
sink "gcs" "sixth" {
  bucket   = "acme-lake"
  prefix   = "sixth"
  metadata = { (var.key) = "\n" }
  kms_key  = "projects/acme"
}
