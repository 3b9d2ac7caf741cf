package pusher_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
)

// TestOldClientsAreToldBeforeTheyAreClosed gives clients of version 5 the reason of
// every close in an error as well, and once. Later ones look at the code.
func TestOldClientsAreToldBeforeTheyAreClosed(t *testing.T) {
	for name, test := range map[string]struct {
		app  func(*pusher.App)
		end  func(kit *brokertest.Kit, c *brokertest.Client)
		code int
		// always says that newer clients are told as well.
		always bool
	}{
		"refused":    {app: func(a *pusher.App) { a.Disabled = true }, code: 4003, always: true},
		"not signed": {end: func(_ *brokertest.Kit, c *brokertest.Client) { c.Write(`{"event":"pusher:signin","data":{}}`) }, code: 4009, always: true},
		"shutdown":   {end: func(kit *brokertest.Kit, _ *brokertest.Client) { _ = kit.Broker.Shutdown(context.Background()) }, code: 4200},
		"terminated": {end: func(kit *brokertest.Kit, c *brokertest.Client) {
			c.SignIn("ann")
			_, err := kit.App.TerminateUser(t.Context(), "ann")
			assert.NoError(t, err)
		}, code: 4009},
		"silent": {end: func(_ *brokertest.Kit, c *brokertest.Client) {
			time.Sleep(pusher.DefaultActivityTimeout + time.Second)
			synctest.Wait()
			c.Expect("pusher:ping", "")
			time.Sleep(pusher.PongTimeout + time.Second)
			synctest.Wait()
		}, code: 4201},
	} {
		for _, version := range []string{"5", "6", "7"} {
			t.Run(name+" "+version, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					kit := newKit(t)
					if test.app != nil {
						test.app(kit.Config)
					}
					dial, with := kit.Dial, brokertest.WithDial(func(d *pusher.Dial) { d.Protocol = version })
					if test.end != nil {
						dial = kit.Connect
					}
					c := dial(t, with)
					if test.end != nil {
						test.end(kit, c)
					}
					if version == "5" || test.always {
						expectError(t, c, test.code, "")
					}
					assert.Equal(t, test.code, c.CloseCode())
					c.ExpectNothing()
				})
			})
		}
	}
}
