package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
)

//go:embed assets
var assetFiles embed.FS

// assetTypes are the files that a page may load; there are no others.
var assetTypes = map[string]string{
	"style.css": "text/css; charset=utf-8",
	"desk.js":   "text/javascript; charset=utf-8",
	"icon.svg":  "image/svg+xml",
}

// assetLink is a file's link, which changes with its content: so that it may be
// kept for ever.
func assetLink(name string) (string, error) {
	body, err := assetFiles.ReadFile(path.Join("assets", name))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return "assets/" + name + "?v=" + hex.EncodeToString(sum[:6]), nil
}

// asset serves one of them. They are the same for everybody, and the login page
// needs them.
func asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	kind, ok := assetTypes[name]
	body, err := assetFiles.ReadFile(path.Join("assets", name))
	if !ok || err != nil {
		plain(w, http.StatusNotFound, "There is no such file here.")
		return
	}
	w.Header().Set("Content-Type", kind)
	if r.URL.RawQuery != "" {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Write(body)
}
