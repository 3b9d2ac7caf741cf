package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// config is how the chat is run.
type config struct {
	addr string
	// web is the folder of the built page.
	web string
	// data is the folder of what lasts: the database, the keys and the files.
	data     string
	database string
	// temporary says that data is removed at the end.
	temporary bool
	// url is how people reach the chat, if that is not addr: "https://chat.example.com".
	url  string
	demo bool
	// messages is how many a user may send in messageSeconds.
	messages int
	// roomSize is how many people the first room takes.
	roomSize int
	// maxUpload, userQuota and totalQuota bound files, in bytes.
	maxUpload, userQuota, totalQuota int64
	// words are not to be said.
	words map[string]bool
	// pushAnywhere lets notifications go to any address, for tests.
	pushAnywhere bool
	hashCost     int
}

func defaults() config {
	return config{
		messages: 10, roomSize: defaultCapacity,
		maxUpload: 10 << 20, userQuota: 200 << 20, totalQuota: 5 << 30,
		hashCost: bcrypt.DefaultCost,
	}
}

// parseFlags reads the command line, and makes the data folder.
func parseFlags(args []string) (config, error) {
	cfg := defaults()
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	flags.StringVar(&cfg.addr, "addr", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8081"), "`address` to listen on (also ADDR)")
	flags.StringVar(&cfg.web, "web", filepath.FromSlash("examples/chat/web/dist"), "`folder` of the built page")
	flags.StringVar(&cfg.data, "data", "", "`folder` of the database, keys and files (default: one in your data folder, which is printed)")
	storage := flags.String("storage", "sqlite", "`where` messages are kept: sqlite, sqlite:FILE, or memory, which is empty with each start")
	flags.StringVar(&cfg.url, "url", "", "`address` by which people reach the chat, such as https://chat.example.com, if a proxy stands before it")
	flags.BoolVar(&cfg.demo, "demo", truth(os.Getenv("DEMO")), "begin with rooms and people who talk, and let everybody choose their role (also DEMO=1)")
	flags.IntVar(&cfg.messages, "messages", cfg.messages, "`number` of messages that a user may send in 10 seconds")
	flags.IntVar(&cfg.roomSize, "room-size", cfg.roomSize, "`number` of people whom the first room takes")
	words := flags.String("words", "", "`file` of words that are not to be said, one a line")
	flags.BoolVar(&cfg.pushAnywhere, "push-insecure", false, "send notifications to any address: for tests only")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("%q is no option", flags.Arg(0))
	}
	if cfg.messages < 1 || cfg.messages > 1_000_000 {
		return config{}, fmt.Errorf("-messages %d: not from 1 to 1000000", cfg.messages)
	}
	if cfg.roomSize < 2 || cfg.roomSize > maxCapacity {
		return config{}, fmt.Errorf("-room-size %d: not from 2 to %d", cfg.roomSize, maxCapacity)
	}
	if u, err := url.Parse(cfg.url); err != nil || cfg.url != "" && (u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
		return config{}, fmt.Errorf("-url %s: not like https://chat.example.com", cfg.url)
	}
	cfg.url = strings.TrimRight(cfg.url, "/")
	var err error
	if cfg.words, err = readWords(*words); err != nil {
		return config{}, err
	}
	if _, err := os.Stat(filepath.Join(cfg.web, "index.html")); err != nil {
		return config{}, fmt.Errorf("no built page in %q: run `make chat`, or say with -web where it is: %w", cfg.web, err)
	}
	return cfg, cfg.openData(*storage)
}

// openData finds the place for what lasts.
func (cfg *config) openData(storage string) (err error) {
	engine, file, _ := strings.Cut(storage, ":")
	switch {
	case engine == "memory" && file == "":
		cfg.temporary = true
		if cfg.data != "" {
			return errors.New("-storage memory keeps nothing: leave -data out")
		}
		cfg.data, err = os.MkdirTemp("", "carillon-chat-")
	case engine != "sqlite":
		return fmt.Errorf("-storage %s: not sqlite, sqlite:FILE or memory", storage)
	case cfg.data == "":
		cfg.data, err = dataFolder(cfg.demo)
	}
	if err != nil {
		return err
	}
	cfg.database = cmp.Or(file, filepath.Join(cfg.data, "chat.db"))
	if err := os.MkdirAll(cfg.data, 0o700); err != nil {
		return fmt.Errorf("-data: %w", err)
	}
	return nil
}

// dataFolder is where programs of this user keep their data. A demo has its own.
func dataFolder(demo bool) (string, error) {
	name := "carillon-chat"
	if demo {
		name += "-demo"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, name), nil
	}
	switch runtime.GOOS {
	case "darwin", "windows", "ios", "plan9":
		dir, err := os.UserConfigDir()
		return filepath.Join(dir, name), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share", name), err
}

func truth(text string) bool { return text != "" && text != "0" && text != "false" }
