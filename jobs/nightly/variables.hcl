# What differs from one installation to the next. A value comes from, the later
# the stronger: the default here, the environment (PROSPECTOR_VAR_bucket, …),
# prospector.hclvars, *.auto.hclvars, -var-file=FILE, -var 'bucket=…'.

variable "knock_api_key" {
  description = "The key that Knock gave you. Staging takes syndication-prospect-TEST-KEY."
  type        = string
  sensitive   = true
}

variable "endpoint" {
  description = "The API. Staging is https://stage-syndication.knockrentals.com."
  type        = string
  default     = "https://syndication.knockrentals.com"
}

variable "requests_per_second" {
  description = "Knock states no limit: ask before you raise it. 0 is no limit."
  type        = number
  default     = 10
}

variable "prospects_file" {
  description = "The prospects to export: csv, jsonl, parquet or one id a line; - is standard input."
  type        = string
  default     = "prospects.csv"
}

variable "bucket" {
  description = "The bucket of the lake, without gs://, in the region of the BigQuery data set."
  type        = string
}

variable "prefix" {
  description = "The folder of the lake in the bucket."
  type        = string
  default     = "knock"
}
