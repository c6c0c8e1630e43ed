package storetest

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"prospector/internal/attribute"
	"prospector/sink/store"
)

// RunKind tests the descriptor of a driver with a location that exists.
func RunKind(t *testing.T, at store.Location) {
	t.Run("the descriptor", func(t *testing.T) { checkKind(t, at.Kind) })
	t.Run("attributes are valid", func(t *testing.T) {
		for _, a := range at.Settings.Attributes() {
			if a.Check != nil {
				if p := a.Check("it"); p != nil {
					t.Errorf("%s: %s", p.Summary, p.Detail)
				}
			}
		}
	})
	t.Run("URIs of objects", func(t *testing.T) {
		if at.Kind.Objects != nil {
			checkObjects(t, at)
		}
	})
	t.Run("the directory is an absolute path", func(t *testing.T) {
		if dir, ok := at.Directory(); ok && !filepath.IsAbs(dir) {
			t.Errorf("the directory is %q", dir)
		}
	})
	for name, access := range map[string]store.Access{"shared": {Uploads: filepath.Join(t.TempDir(), "uploads")}, "private": {Private: true}} {
		t.Run("URIs before and after opening, "+name, func(t *testing.T) {
			s, err := at.Open(t.Context(), access)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, key := range slices.Concat([]string{"", "table", "t/event_date=2022-01-13/part-00000.parquet"}, unusualKeys) {
				if got, want := at.URI(key), s.URI(key); got != want {
					t.Errorf("the location's URI of the key %q is %s, the store's is %s", key, got, want)
				}
			}
		})
	}
}

func checkKind(t *testing.T, k *store.Kind) {
	attributes := k.New().Attributes()
	names := attribute.Names(attributes)
	if k.Name == "" || len(names) == 0 || attributes[0].Required == "" || attributes[0].Auxiliary {
		t.Errorf("the kind %q has the attributes %q; it must have a name, and its first attribute must be required and name the place", k.Name, names)
	}
	for i, a := range attributes {
		if slices.Contains([]string{"", "id", "type", "name", "uri"}, a.Name) || slices.Index(names, a.Name) != i {
			t.Errorf("an attribute cannot have the name %q", a.Name)
		}
		if a.Required != "" && !regexp.MustCompile(`(?m)^`+a.Name+` += `).MatchString(k.Example) {
			t.Errorf("the example %q has no %s", k.Example, a.Name)
		}
	}
	if k.StatePath != "" {
		i := slices.Index(names, k.StatePath)
		if i < 0 {
			t.Fatalf("StatePath is %q, which is not among the attributes %q", k.StatePath, names)
		}
		if _, is := attributes[i].Value.(*attribute.Path); !is {
			t.Errorf("the attribute %s has the type %T, not *attribute.Path", k.StatePath, attributes[i].Value)
		}
	}
}

// checkObjects checks that a URI names the same object as the location and the key from
// which it comes.
func checkObjects(t *testing.T, at store.Location) {
	objects := at.Kind.Objects
	for _, name := range objects.Attributes {
		if !slices.ContainsFunc(at.Settings.Attributes(), func(a attribute.Attribute) bool { return a.Name == name && a.Auxiliary }) {
			t.Errorf("there is no auxiliary attribute %q", name)
		}
	}
	for _, key := range []string{"ids", "lists/ids.csv", "a#1", "a b?c=d&e", "100%25", "ünïcode"} {
		uri := at.URI(key)
		found := store.Location{Kind: at.Kind, Settings: at.Kind.New()}
		foundKey, err := objects.Locate(found.Settings, uri)
		if err != nil || found.URI(foundKey) != uri || !strings.HasPrefix(uri, objects.Scheme+"://") {
			t.Errorf("the URI %s names the object %s, %v", uri, found.URI(foundKey), err)
		}
	}
	for _, uri := range []string{at.URI(""), at.URI("lists") + "/", at.URI("a") + "//b", at.URI("..")} {
		if key, err := objects.Locate(at.Kind.New(), uri); err == nil && (key == "" || store.CheckKey(key) != nil) {
			t.Errorf("the URI %s names the object %q", uri, key)
		}
	}
}
