variable "secret" {
  sensitive = true
  default   = "hunter2"
}
prospector {
  backend "gcs" {
    bucket       = "acme-state"
    prefix       = var.secret
    user_project = sensitive("acme-billing")
  }
}
