prospector {
  backend "gcs" {
    prefix = "knock?"
  }
}
source "simulator" "demo" {}
