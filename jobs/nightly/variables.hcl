# The settings that differ between installations. Values come from these places, and a
# later one takes precedence: the default here, the environment (PROSPECTOR_VAR_bucket,
# …), prospector.hclvars, *.auto.hclvars, -var-file=FILE, -var 'bucket=…'.

variable "knock_api_key" {
  description = "The API key from Knock. Staging accepts syndication-prospect-TEST-KEY."
  type        = string
  sensitive   = true
}

variable "endpoint" {
  description = "The API. Staging is https://stage-syndication.knockrentals.com."
  type        = string
  default     = "https://syndication.knockrentals.com"
}

variable "requests_per_second" {
  description = "Knock states no limit; ask before you raise it. 0 means no limit."
  type        = number
  default     = 10
}

variable "prospects_file" {
  description = "The prospects to export: csv, jsonl, parquet or one ID per line; - is standard input."
  type        = string
  default     = "prospects.csv"
}

variable "bucket" {
  description = "The lake's bucket, without gs://, in the region of the BigQuery data set."
  type        = string
}

variable "prefix" {
  description = "The lake's folder in the bucket."
  type        = string
  default     = "knock"
}

variable "dry_run" {
  description = "Publish to the directory lake/ on this machine instead of the bucket."
  type        = bool
  default     = false
}
