source "simulator" {}
sink "local" "a" "b" {}
prospects "12" { file = "a" }
output "a b" { value = 1 }
job {}
