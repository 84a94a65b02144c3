package container

import (
	"archive/tar"
	"archive/zip"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"ordeal/harness/ensemble"
)

// Paths inside the image of Apache ZooKeeper. Jars stay where Debian puts them, since manifests name
// one another so.
const (
	imageJava    = "/jre"
	imageLibrary = "/lib/x86_64-linux-gnu"
)

// notNeeded are the parts of a Java runtime that a server never loads, by prefix of their path below
// the runtime's home. Left out, the image is a third of the size.
var notNeeded = []string{
	"docs", "include", "jmods", "legal", "man", "demo", "lib/src.zip", "lib/ct.sym", "lib/libawt", "lib/libjawt",
	"lib/libfont", "lib/libsplash", "lib/libjsound", "lib/liblcms", "lib/libmlib", "lib/libsaproc",
	"lib/libatk", "lib/libjavajpeg", "lib/libjdwp", "lib/libdt_socket", "lib/server/classes",
}

// BuildApache makes the image of Apache ZooKeeper out of this machine's Debian packages and Java
// runtime. No registry is needed. An image that is there already is replaced if rebuild is set.
func BuildApache(ctx context.Context, rebuild bool) error {
	engine, err := connect(ctx)
	if err != nil {
		return err
	}
	defer engine.Close()
	if !rebuild {
		if _, err := engine.ImageInspect(ctx, ApacheImage); err == nil {
			return nil
		}
	}
	files, err := apacheFiles()
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	var group errgroup.Group
	group.Go(func() error {
		err := writeTar(writer, files)
		writer.CloseWithError(err)
		return err
	})
	result, err := engine.ImageImport(ctx, client.ImageImportSource{Source: reader, SourceName: "-"}, ApacheImage, client.ImageImportOptions{
		Changes: []string{"LABEL " + labelImage + "=" + imageOfApache, "ENV PATH=" + imageJava + "/bin"},
	})
	if err == nil {
		_, err = io.Copy(io.Discard, result)
		err = errors.Join(err, result.Close())
	}
	reader.CloseWithError(err) // a writer that still waits ends with it
	if err = errors.Join(err, group.Wait()); err != nil {
		return fmt.Errorf("build image %s: %w", ApacheImage, err)
	}
	return nil
}

// apacheFiles lists what goes into the image: path in the image to path on this machine. An empty
// source is an empty folder.
func apacheFiles() (map[string]string, error) {
	apache, err := ensemble.FindApache()
	if err != nil {
		return nil, err
	}
	files := map[string]string{"/tmp": "", memberPath: ""}
	libraries, err := addRuntime(files, apache.JavaHome)
	if err != nil {
		return nil, err
	}
	if err := addLibraries(files, libraries); err != nil {
		return nil, err
	}
	return files, addJars(files, apache.ClassPath)
}

// addJars adds jars, and those that their manifests name, where they stand on this machine.
func addJars(files map[string]string, jars []string) error {
	for len(jars) > 0 {
		jar := jars[0]
		jars = jars[1:]
		if _, there := files[jar]; there {
			continue
		}
		files[jar] = jar
		named, err := manifestClassPath(jar)
		if err != nil {
			return err
		}
		for _, path := range named {
			if !filepath.IsAbs(path) {
				path = filepath.Join(filepath.Dir(jar), path)
			}
			// A manifest may name what Debian only suggests to install.
			if _, err := os.Stat(path); err == nil {
				jars = append(jars, path)
			}
		}
	}
	return nil
}

// manifestClassPath reads the attribute Class-Path of a jar's manifest, whose lines are folded by a
// blank at the start of the next.
func manifestClassPath(jar string) ([]string, error) {
	archive, err := zip.OpenReader(jar)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", jar, err)
	}
	defer archive.Close()
	file, err := archive.Open("META-INF/MANIFEST.MF")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", jar, err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", jar, err)
	}
	unfolded := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n ", "")
	for line := range strings.Lines(unfolded) {
		if value, found := strings.CutPrefix(line, "Class-Path:"); found {
			return strings.Fields(value), nil
		}
	}
	return nil, nil
}

// addRuntime adds the Java runtime at home, and returns its programs and libraries.
func addRuntime(files map[string]string, home string) ([]string, error) {
	var loaded []string
	err := filepath.WalkDir(home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(home, path)
		if err != nil {
			return err
		}
		for _, prefix := range notNeeded {
			if strings.HasPrefix(inside, prefix) {
				if entry.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
		}
		// Debian links configuration files into /etc: what counts is what the link leads to.
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			return nil // a folder, or a dangling link
		}
		files[filepath.Join(imageJava, inside)] = path
		if strings.HasSuffix(path, ".so") || inside == "bin/java" {
			loaded = append(loaded, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the Java runtime at %s: %w", home, err)
	}
	return loaded, nil
}

// addLibraries adds the system libraries that programs need, with those that these need, and the
// loader.
func addLibraries(files map[string]string, programs []string) error {
	own := map[string]bool{}
	for _, program := range programs {
		own[filepath.Base(program)] = true
	}
	seen := map[string]bool{}
	for len(programs) > 0 {
		program := programs[0]
		programs = programs[1:]
		needed, loader, err := dependencies(program)
		if err != nil {
			return fmt.Errorf("read what %s needs: %w", program, err)
		}
		if loader != "" {
			files[loader] = loader
		}
		for _, name := range needed {
			if own[name] || seen[name] {
				continue
			}
			seen[name] = true
			path := filepath.Join(imageLibrary, name)
			if _, err := os.Stat(path); err != nil {
				path = filepath.Join("/usr", imageLibrary, name)
			}
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("%s needs %s, which is not in %s", program, name, imageLibrary)
			}
			files[filepath.Join(imageLibrary, name)] = path
			programs = append(programs, path)
		}
	}
	return nil
}

// dependencies are the libraries that an ELF file names, and its loader if it is a program.
func dependencies(path string) (needed []string, loader string, err error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			name, err := io.ReadAll(part.Open())
			if err != nil {
				return nil, "", err
			}
			loader = strings.TrimRight(string(name), "\x00")
		}
	}
	needed, err = file.ImportedLibraries()
	return needed, loader, err
}

// writeTar packs files in the order of their names, links resolved.
func writeTar(stream io.Writer, files map[string]string) error {
	writer := tar.NewWriter(stream)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeTarFile(writer, name, files[name]); err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
	}
	return writer.Close()
}

func writeTarFile(writer *tar.Writer, name, source string) error {
	name = strings.TrimPrefix(name, "/")
	if source == "" {
		return writer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o1777})
	}
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	err = writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size()})
	if err != nil {
		return err
	}
	_, err = io.Copy(writer, file)
	return err
}
