package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Literal writes a value as the configuration language would.
func Literal(value any) Text { return Program(literal(value, "")) }

// literal is Literal for a line with that indentation.
func literal(value any, indent string) string {
	inner := indent + "  "
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("%q", value)
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case []any:
		if len(value) == 0 {
			return "[]"
		}
		var b strings.Builder
		for _, item := range value {
			b.WriteString(inner + literal(item, inner) + ",\n")
		}
		return "[\n" + b.String() + indent + "]"
	case map[string]any:
		if len(value) == 0 {
			return "{}"
		}
		var b strings.Builder
		for _, key := range slices.Sorted(maps.Keys(value)) {
			fmt.Fprintf(&b, "%s%q = %s\n", inner, key, literal(value[key], inner))
		}
		return "{\n" + b.String() + indent + "}"
	}
	return fmt.Sprint(value)
}
