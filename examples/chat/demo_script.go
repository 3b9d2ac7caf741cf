package main

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"

	"github.com/carillon-rt/carillon/examples/chat/internal/media"
)

// lobbyPast and towerPast are what was said before anybody came.
var lobbyPast = []line{
	{who: 0, text: "Good morning! The new keyboard for the carillon has come. 🎹", emoji: "🎉 👍"},
	{who: 1, text: "At last. Is it the one with the **wide** batons?"},
	{who: 0, text: "It is. 48 of them, and the low ones are a whole hand wide.", answers: 1},
	{who: 2, text: "I have fists for that."},
	{who: 2, text: "Seriously though: who plays at noon tomorrow?"},
	{who: 1, text: "@Mia Berg has her class then, so I could."},
	{who: 0, text: "Please do. What will you play?", answers: 1},
	{who: 1, text: "Three things:\n\n1. the *Prelude* from the green book\n2. that short one by Noor\n3. something that people know", emoji: "❤️"},
	{who: 2, text: "The short one has a wrong note in bar 12, I have corrected it:\n\n```\nbar 12:  c  e  g  |  b♭ → b\n```"},
	{who: 1, text: "Noted. And played. It sounds a lot less sad now.", answers: 1, emoji: "😂"},
	{who: 0, file: "evening.jpg", text: "The view from up there last night", emoji: "😍 ❤️"},
	{who: 2, text: "How do you ever come down again?"},
	{who: 0, text: "By 297 steps."},
	{who: 1, text: "> By 297 steps.\n\nThere are 299, I have counted them with the tuning hammer under my arm."},
	{who: 2, text: "The plan for the open day is in the *Bell tower* room. Have a look before Friday: https://example.com/open-day"},
	{who: 0, text: "Thank you, Noor. I will read it tonight.", emoji: "👍"},
}

var towerPast = []line{
	{who: 2, text: "This is the plan for the open day:\n\n- 10:00 doors\n- 11:00 **first round** up the tower, 12 people at most\n- 12:00 noon, everything rings\n- 14:00 children may try the small keyboard"},
	{who: 0, text: "Twelve is few. Could the second group wait on the middle floor?", answers: 1},
	{who: 2, text: "If somebody is there with them. @Leo Okafor?"},
	{who: 1, text: "I am. I bring the practice bells.", emoji: "🔔 🎉"},
	{who: 1, file: "chimes.jpg", text: "How loud it was on each floor when we tried", emoji: "👀"},
	{who: 0, text: "So the middle floor is where people can still talk. Good to know."},
	{who: 2, text: "Ear plugs for the top, then. I order 200."},
	{who: 0, text: "Make it 300. Children lose them.", answers: 1, emoji: "😂 👍"},
}

// play is what they say while somebody listens.
var play = []line{
	{who: 1, text: "Is anybody up in the tower right now?"},
	{who: 2, text: "Mia is, I can hear her."},
	{who: 0, text: "Only tuning! The middle *f* is a little flat in the cold."},
	{who: 1, text: "By how much?"},
	{who: 0, text: "About 4 cents. `440 Hz * 2^(-4/1200)`, if you want to be exact."},
	{who: 2, text: "Nobody in the market will notice."},
	{who: 1, text: "I would. 😄"},
	{who: 2, text: "The baker asked whether we could play something **merry** on Saturday."},
	{who: 0, text: "We can. What is merry to a baker?"},
	{who: 1, text: "Anything in three four time, I suppose."},
	{who: 2, text: "Then the waltz from the blue book. I print it for both of you."},
	{who: 0, text: "Wonderful. Tea at five, whoever is around? ☕"},
}

// paint makes a picture and stores it as if somebody had uploaded it.
func (c *chat) paint(ctx context.Context, roomID int64, u user, name string) (*file, error) {
	img := evening
	if name == "chimes.jpg" {
		img = chimes
	}
	var data bytes.Buffer
	if err := jpeg.Encode(&data, img(960, 600), nil); err != nil {
		return nil, err
	}
	found, err := media.Inspect(bytes.NewReader(data.Bytes()))
	if err != nil {
		return nil, err
	}
	// A picture is stored as it was made anew: nothing of what was received is kept.
	nothing, err := os.CreateTemp(c.config.data, "demo-*")
	if err != nil {
		return nil, err
	}
	defer c.files.drop(nothing)
	return c.storeFile(ctx, &room{ID: roomID}, u, name, nothing, int64(data.Len()), found)
}

// evening is the sun going down behind hills.
func evening(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	sunX, sunY, r := float64(w)*0.68, float64(h)*0.56, float64(h)*0.11
	for x := range w {
		far := float64(h) * (0.66 + 0.05*math.Sin(float64(x)/140) + 0.02*math.Sin(float64(x)/37))
		near := float64(h) * (0.80 + 0.06*math.Sin(float64(x)/210+2))
		for y := range h {
			t := float64(y) / float64(h)
			c := color.RGBA{uint8(40 + 210*t), uint8(50 + 90*t), uint8(110 - 30*t), 255}
			if d := math.Hypot(float64(x)-sunX, float64(y)-sunY); d < r {
				c = color.RGBA{255, 226, 150, 255}
			} else if d < 3*r {
				glow := 1 - (d-r)/(2*r)
				c.R, c.G = uint8(min(255, float64(c.R)+60*glow)), uint8(min(255, float64(c.G)+70*glow))
			}
			if float64(y) > far {
				c = color.RGBA{64, 44, 74, 255}
			}
			if float64(y) > near {
				c = color.RGBA{28, 22, 44, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// chimes is a chart of bars.
func chimes(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	bars := []float64{0.18, 0.24, 0.33, 0.47, 0.72, 0.95}
	step := w / (len(bars) + 1)
	for x := range w {
		bar := (x - step/2) / step
		inside := x >= step/2 && bar < len(bars) && (x-step/2)%step < step*3/5
		for y := range h {
			c := color.RGBA{247, 246, 242, 255}
			if y%(h/6) == 0 {
				c = color.RGBA{224, 222, 214, 255}
			}
			if inside && float64(h-y) < bars[bar]*float64(h)*0.9 {
				c = color.RGBA{uint8(70 + 30*bar), uint8(120 - 12*bar), 168, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}
