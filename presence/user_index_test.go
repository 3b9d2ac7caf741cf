package presence_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/presence"
)

func TestUserIndexModel(t *testing.T) {
	type key struct{ app, userID string }
	rapid.Check(t, func(rt *rapid.T) {
		var index presence.UserIndex[int]
		model := make(map[key]map[int]bool)
		apps, users := []string{"a", "b"}, []string{"ann", "bob", "eve"}
		app := rapid.SampledFrom(apps)
		some := rapid.SliceOfN(rapid.SampledFrom(users), 0, 3)
		session := rapid.IntRange(1, 4)
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				s, app, ids := session.Draw(rt, "session"), app.Draw(rt, "app"), some.Draw(rt, "users")
				index.Add(s, app, ids...)
				for _, id := range ids {
					if model[key{app, id}] == nil {
						model[key{app, id}] = make(map[int]bool)
					}
					model[key{app, id}][s] = true
				}
			},
			"remove": func(rt *rapid.T) {
				s, app, ids := session.Draw(rt, "session"), app.Draw(rt, "app"), some.Draw(rt, "users")
				index.Remove(s, app, ids...)
				for _, id := range ids {
					delete(model[key{app, id}], s)
				}
			},
			"": func(rt *rapid.T) {
				for _, app := range apps {
					for _, id := range users {
						want := []int{}
						for s := range model[key{app, id}] {
							want = append(want, s)
						}
						require.ElementsMatch(rt, want, index.Of(app, id), "%s in %s", id, app)
					}
				}
			},
		})
	})
}

func TestUserIndexConcurrently(t *testing.T) {
	var index presence.UserIndex[int]
	var wg sync.WaitGroup
	for s := range 8 {
		wg.Go(func() {
			for i := range 200 {
				id := strconv.Itoa(i % 10)
				index.Add(s, "app", id, "all")
				assert.Contains(t, index.Of("app", id), s)
				if i < 190 {
					index.Remove(s, "app", id, "all")
				}
			}
		})
	}
	wg.Wait()
	assert.ElementsMatch(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, index.Of("app", "all"))
	for i := range 10 {
		assert.Len(t, index.Of("app", strconv.Itoa(i)), 8)
	}
}
