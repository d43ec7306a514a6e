package testenv

import (
	"archive/tar"
	"debug/elf"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// BusyboxLayer returns the path of a tar file with a root file system that can run: a statically linked busybox, with a few of its
// commands, and the file /mark that holds mark. The same mark gives the same bytes.
func BusyboxLayer(t testing.TB, mark string) string {
	t.Helper()
	path := Tool(t, "busybox")
	if !static(path) {
		Missing(t, path+" is not statically linked")
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "busybox.tar")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := tar.NewWriter(file)
	write := func(header tar.Header, content []byte) {
		header.Size, header.ModTime = int64(len(content)), time.Unix(0, 0)
		if err := archive.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin/", "dev/", "etc/", "proc/", "sys/"} {
		write(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	write(tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	write(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, program)
	for _, applet := range []string{"cat", "dd", "echo", "ls", "mkdir", "sh", "sleep", "touch", "true", "uname"} {
		write(tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	write(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:0:root:/:/bin/sh\n"))
	write(tar.Header{Name: "mark", Typeflag: tar.TypeReg, Mode: 0o644}, []byte(mark))
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// static tells whether a program needs no dynamic linker.
func static(path string) bool {
	program, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer program.Close()
	for _, header := range program.Progs {
		if header.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

// BusyboxImage returns a runnable OCI image made of BusyboxLayer.
func BusyboxImage(t testing.TB, mark string) v1.Image {
	t.Helper()
	layer, err := tarball.LayerFromFile(BusyboxLayer(t, mark), tarball.WithMediaType("application/vnd.oci.image.layer.v1.tar+gzip"))
	if err != nil {
		t.Fatal(err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, "application/vnd.oci.image.manifest.v1+json"),
		"application/vnd.oci.image.config.v1+json")
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Cmd = "linux", runtime.GOARCH, []string{"/bin/sh"}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// BusyboxLayout returns the directory of an OCI image layout with BusyboxImage under a tag: skopeo's oci:directory:tag.
func BusyboxLayout(t testing.TB, tag, mark string) string {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	name := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag})
	if err := path.AppendImage(BusyboxImage(t, mark), name); err != nil {
		t.Fatal(err)
	}
	return dir
}
