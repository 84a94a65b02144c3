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
// that takes the official ZooKeeper image's variables.
const nodeDockerfile = "FROM scratch\nCOPY ordeal " + programPath + "\nENTRYPOINT [\"" + programPath + "\"]\nCMD [\"node\"]\n"

// BuildNode makes the image of the program at path, unless the engine has it already, and returns
// its name. The program must be a static binary. Images of earlier programs that nothing uses are
// removed.
func BuildNode(ctx context.Context, path string) (string, error) {
	engine, err := connect(ctx)
	if err != nil {
		return "", err
	}
	defer engine.Close()
	program, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the program for the image: %w", err)
	}
	if err := requireStatic(path); err != nil {
		return "", err
	}
	sum := sha256.Sum256(program)
	tag := hex.EncodeToString(sum[:6])
	image := nodeRepository + ":" + tag
	if _, err := engine.ImageInspect(ctx, image); err == nil {
		return image, nil
	}
	removeImages(ctx, engine.Client, imageOfNode)
	archive, err := tarOf(map[string][]byte{"Dockerfile": []byte(nodeDockerfile), "ordeal": program})
	if err != nil {
		return "", err
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", noEngine(err)
	}
	defer provider.Close()
	_, err = provider.BuildImage(ctx, &testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{
		ContextArchive: bytes.NewReader(archive), Repo: nodeRepository, Tag: tag, KeepImage: true,
		BuildOptionsModifier: func(options *client.ImageBuildOptions) {
			if options.Labels == nil {
				options.Labels = map[string]string{}
			}
			options.Labels[labelImage] = imageOfNode
		},
	}})
	if err != nil {
		return "", fmt.Errorf("build image %s: %w", image, err)
	}
	return image, nil
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

// removeImages removes the project's images of one kind that no container uses, and returns their
// names. An image in use stays: that is no error.
func removeImages(ctx context.Context, engine *client.Client, kind string) []string {
	list, err := engine.ImageList(ctx, client.ImageListOptions{
		Filters: make(client.Filters).Add("label", labelImage+"="+kind),
	})
	if err != nil {
		return nil
	}
	var removed []string
	for _, image := range list.Items {
		if _, err := engine.ImageRemove(ctx, image.ID, client.ImageRemoveOptions{PruneChildren: true}); err == nil {
			removed = append(removed, append(image.RepoTags, image.ID)[0])
		}
	}
	return removed
}
