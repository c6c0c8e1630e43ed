# A table that shares only extra_json with the table of events. Its rows have no
# creation time, and each row is its own entity.
schema "prospects" {
  column "id" {
    type  = string
    value = "prospect"
    role  = "id"
  }
  column "stage" {
    type = string
    role = "type"
    from = ["stage"]
  }
  column "update_date" {
    type  = date
    value = "date"
  }
  column "updated_at" {
    type = timestamp
    role = "time"
    from = ["updatedAt"]
  }
  column "property" {
    type = string
    from = ["property.name"]
  }
  column "extra_json" {
    type  = string
    value = "extra"
  }
}
