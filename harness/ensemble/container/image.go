package container

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Image repositories of this project. They exist on the local engine only.
const (
	nodeRepository = "ordeal-node"
	// ApacheImage is what "ordeal image apache" builds.
	ApacheImage = "ordeal-apache:3.8.0"
)

// What an image is for, as its label says.
const (
	imageOfNode   = "node"
	imageOfApache = "apache"
)

// programPath is where the program stands in its image.
const programPath = "/ordeal"

// nodeDockerfile makes an image that holds the program and nothing else. By itself it runs a server
// that takes the official ZooKeeper image's variables, or a zoo.cfg that is mounted at the same place.
const nodeDockerfile = "FROM scratch\nCOPY ordeal " + programPath + "\nENV ZOO_CONF_DIR=/conf\nENTRYPOINT [\"" + programPath + "\"]\nCMD [\"node\"]\n"

// program is the ordeal program as it goes into an image.
type program struct {
	content []byte
	tag     string // from the content: another build is another image
}

// image is the name of the image that holds the program.
func (p program) image() string { return nodeRepository + ":" + p.tag }

// readProgram reads the program at path, which must be a static binary.
func readProgram(path string) (program, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return program{}, fmt.Errorf("read the program for the image: %w", err)
	}
	sum := sha256.Sum256(content)
	return program{content: content, tag: hex.EncodeToString(sum[:6])}, requireStatic(path)
}

// build makes the image of the program, unless the engine has it already. Images of earlier programs that
// nobody needs are removed.
func (p program) build(ctx context.Context, engine *testcontainers.DockerClient) error {
	if _, err := engine.ImageInspect(ctx, p.image()); err == nil {
		return nil
	}
	if _, err := removeImages(ctx, engine, imageOfNode); err != nil {
		return err
	}
	archive, err := tarOf(map[string][]byte{"Dockerfile": []byte(nodeDockerfile), "ordeal": p.content})
	if err != nil {
		return err
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return noEngine(err)
	}
	defer provider.Close()
	_, err = provider.BuildImage(ctx, &testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{
		ContextArchive: bytes.NewReader(archive), Repo: nodeRepository, Tag: p.tag, KeepImage: true,
		BuildOptionsModifier: func(options *client.ImageBuildOptions) {
			if options.Labels == nil {
				options.Labels = map[string]string{}
			}
			options.Labels[labelImage] = imageOfNode
		},
	}})
	if err != nil {
		return fmt.Errorf("build image %s: %w", p.image(), err)
	}
	return nil
}

// requireStatic refuses a program that needs a loader, which an image from scratch does not have.
func requireStatic(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is no Linux program: %w", path, err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically and cannot run in an image from scratch; build it with CGO_ENABLED=0 (make build)", path)
		}
	}
	return nil
}

// tarOf packs files, executable for all.
func tarOf(files map[string][]byte) ([]byte, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for name, content := range files {
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := writer.Write(content); err != nil {
			return nil, err
		}
	}
	return buffer.Bytes(), writer.Close()
}
