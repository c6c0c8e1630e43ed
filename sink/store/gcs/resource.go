package gcs

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"strconv"

	"prospector/sink/store"
)

// This file has what an upload sends and receives besides content: the object resource of
// the JSON API, https://cloud.google.com/storage/docs/json_api/v1/objects#resource.

// url returns the URL that takes a new object.
func (u *upload) url(uploadType string) string {
	q := url.Values{
		"uploadType":        {uploadType},
		"name":              {u.store.prefix + u.key},
		"ifGenerationMatch": {strconv.FormatInt(u.generation, 10)},
		"prettyPrint":       {"false"},
	}
	if project := u.store.options.UserProject; project != "" {
		q.Set("userProject", project)
	}
	if key := u.store.options.KMSKeyName; key != "" {
		q.Set("kmsKeyName", key)
	}
	at := *u.store.base
	at.Path, at.RawQuery = "/upload"+apiPath+"b/"+u.store.bucket+"/o", q.Encode()
	return at.String()
}

// metadata returns the object's metadata as JSON.
func (u *upload) metadata() string {
	custom := maps.Clone(u.store.options.Metadata)
	if custom == nil {
		custom = make(map[string]string, 1)
	}
	custom[writeID] = u.id
	text, err := json.Marshal(struct {
		ContentType  string            `json:"contentType"`
		CRC32C       string            `json:"crc32c"`
		StorageClass string            `json:"storageClass,omitempty"`
		Metadata     map[string]string `json:"metadata"`
	}{u.contentType(), encodeCRC(u.content.CRC32C), u.store.options.StorageClass, custom})
	if err != nil {
		panic(err) // texts alone
	}
	return string(text)
}

func (u *upload) contentType() string {
	if u.content.Type == "" {
		return "application/octet-stream" // otherwise the service would have none
	}
	return u.content.Type
}

// errIncomplete means that a response is not the description of an object, for example
// because it was cut off.
var errIncomplete = fmt.Errorf("the response is incomplete: %w", io.ErrUnexpectedEOF)

// decodeObject decodes the service's description of an object.
func decodeObject(r io.Reader) (o store.Object, err error) {
	var described struct {
		Size       int64  `json:"size,string"`
		Generation string `json:"generation"`
		CRC32C     string `json:"crc32c"`
	}
	if err := json.NewDecoder(r).Decode(&described); err != nil {
		return o, errIncomplete
	}
	crc, err := base64.StdEncoding.DecodeString(described.CRC32C)
	if err != nil || len(crc) != 4 || described.Generation == "" {
		return o, errIncomplete
	}
	o.Size, o.Generation, o.CRC32C = described.Size, described.Generation, binary.BigEndian.Uint32(crc)
	return o, nil
}

// encodeCRC returns a CRC32C as the service writes it.
func encodeCRC(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// drain reads what is left of a response, so that its connection can be reused.
func drain(body io.Reader) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 64<<10))
}
