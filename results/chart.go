package results

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

// chartSize is one drawing of the timeline. Text in an SVG shrinks with it, so that a narrow screen gets
// a drawing of its own.
type chartSize struct {
	name                string
	width               float64
	left, right         float64 // margins
	throughput, latency float64 // heights of the two panels
	ticks               int     // on the axis of time, about
	labels              bool    // whether faults and leaders are labelled in the drawing
}

var (
	wideChart   = chartSize{name: "wide", width: 1040, left: 56, right: 8, throughput: 150, latency: 170, ticks: 10, labels: true}
	narrowChart = chartSize{name: "narrow", width: 360, left: 50, right: 4, throughput: 120, latency: 140, ticks: 5}
)

const (
	chartTop    = 22.0 // room for the labels of leaders
	chartGap    = 30.0 // between panels, for the title of the lower
	laneHeight  = 18.0
	lanesMost   = 6
	axisHeight  = 22.0
	letterWidth = 6.2 // of the small text, about
	leaderSpace = 64.0
	dotRadius   = 1.6 // of a point without neighbours
)

// drawing is an SVG under way.
type drawing struct {
	strings.Builder
	size chartSize
	end  time.Duration
}

func (d *drawing) add(format string, values ...any) {
	fmt.Fprintf(d, format, values...)
	d.WriteByte('\n')
}

func (d *drawing) plotWidth() float64 { return d.size.width - d.size.left - d.size.right }

// x is where a moment stands.
func (d *drawing) x(at time.Duration) float64 {
	return d.size.left + d.plotWidth()*min(1, float64(at)/float64(max(d.end, 1)))
}

// chart draws throughput and latency over time, one above the other, with faults and leaders across both.
func (t *timeline) chart(size chartSize) template.HTML {
	if len(t.buckets) == 0 {
		return ""
	}
	d := &drawing{size: size, end: max(t.end, time.Duration(len(t.buckets))*t.width)}
	lanes, laneOf := t.lanes()
	top := chartTop
	latencyTop := top + size.throughput + chartGap
	lanesTop := latencyTop + size.latency + 10
	axis := lanesTop + float64(lanes)*laneHeight + 4
	height := axis + axisHeight

	d.add(`<svg class="chart %s" viewBox="0 0 %g %g" role="img" aria-label="Throughput and latency over time, with faults and leader changes">`, size.name, size.width, height)
	for _, f := range t.faults {
		d.add(`<rect class="band" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, d.x(f.from), top, max(1, d.x(f.end)-d.x(f.from)), lanesTop-top)
	}
	d.throughput(t, top)
	d.latency(t, latencyTop)
	d.faults(t, laneOf, lanesTop)
	d.leaders(t, top, lanesTop)
	d.axis(axis)
	d.add(`</svg>`)
	return template.HTML(d.String())
}

// lanes gives each fault a lane in which it overlaps with none before it.
func (t *timeline) lanes() (count int, laneOf []int) {
	var busy []time.Duration
	for _, f := range t.faults {
		lane := 0
		for lane < len(busy) && busy[lane] > f.from {
			lane++
		}
		if lane == len(busy) && lane < lanesMost {
			busy = append(busy, 0)
		}
		lane = min(lane, len(busy)-1)
		busy[lane] = max(busy[lane], f.end)
		laneOf = append(laneOf, lane)
	}
	return len(busy), laneOf
}

// throughput draws what returned in each bucket, by outcome.
func (d *drawing) throughput(t *timeline, top float64) {
	seconds := t.width.Seconds()
	most := 0.0
	for _, b := range t.buckets {
		most = max(most, float64(b.ok+b.failed+b.unknown)/seconds)
	}
	step := niceStep(most, 3)
	most = max(step, math.Ceil(most/step)*step)
	y := func(rate float64) float64 { return top + d.size.throughput*(1-rate/most) }
	d.panelTitle("operations per second", top)
	for rate := 0.0; rate <= most; rate += step {
		d.line(y(rate), number(int64(rate)))
	}
	for i, b := range t.buckets {
		from, until := d.x(time.Duration(i)*t.width), d.x(time.Duration(i+1)*t.width)
		width := max(0.6, until-from-min(1, (until-from)/5))
		below := 0.0
		for _, part := range []struct {
			class string
			count int64
		}{{"ok", b.ok}, {"failed", b.failed}, {"unknown", b.unknown}} {
			rate := float64(part.count) / seconds
			if rate > 0 {
				d.add(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, part.class, from, y(below+rate), width, max(0.5, y(below)-y(below+rate)))
			}
			below += rate
		}
	}
}

// latency draws percentiles on a logarithmic scale: an election is a thousand times slower than a read.
func (d *drawing) latency(t *timeline, top float64) {
	least, most := math.Inf(1), 0.0
	for _, b := range t.buckets {
		if b.p50 > 0 {
			least, most = min(least, b.p50.Seconds()), max(most, b.p99.Seconds())
		}
	}
	if most == 0 {
		return
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	if high == low {
		high++
	}
	y := func(l time.Duration) float64 {
		return top + d.size.latency*(1-(math.Log10(l.Seconds())-low)/(high-low))
	}
	d.panelTitle("latency of what succeeded", top)
	for power := low; power <= high; power++ {
		tick := time.Duration(math.Round(math.Pow(10, power) * float64(time.Second)))
		d.line(y(tick), durationWord(tick))
	}
	for _, series := range []struct {
		class string
		of    func(bucket) time.Duration
	}{
		{"p99", func(b bucket) time.Duration { return b.p99 }},
		{"p95", func(b bucket) time.Duration { return b.p95 }},
		{"p50", func(b bucket) time.Duration { return b.p50 }},
	} {
		d.series(t, series.class, series.of, y)
	}
}

// series draws a line, broken where nothing succeeded.
func (d *drawing) series(t *timeline, class string, of func(bucket) time.Duration, y func(time.Duration) float64) {
	var points []string
	flush := func() {
		switch {
		case len(points) == 1:
			x, y, _ := strings.Cut(points[0], ",")
			d.add(`<circle class="%s dot" cx="%s" cy="%s" r="%g"/>`, class, x, y, dotRadius)
		case len(points) > 1:
			d.add(`<polyline class="%s" points="%s"/>`, class, strings.Join(points, " "))
		}
		points = nil
	}
	for i, b := range t.buckets {
		if of(b) == 0 {
			flush()
			continue
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", d.x(time.Duration(i)*t.width+t.width/2), y(of(b))))
	}
	flush()
}

// faults draws each fault in its lane.
func (d *drawing) faults(t *timeline, laneOf []int, top float64) {
	for i, f := range t.faults {
		from, until := d.x(f.from), d.x(f.end)
		y := top + float64(laneOf[i])*laneHeight
		d.add(`<g><title>%s, %s to %s</title><rect class="fault" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"/>`,
			template.HTMLEscapeString(f.fault.String()), clockWord(f.from), clockWord(f.end), from, y, max(2, until-from), laneHeight-4)
		label := faultLabel(f)
		if d.size.labels && float64(len(label))*letterWidth+8 < until-from {
			d.add(`<text class="inside" x="%.1f" y="%.1f">%s</text>`, from+5, y+laneHeight-8, template.HTMLEscapeString(label))
		}
		d.add(`</g>`)
	}
}

func faultLabel(f faultSpan) string {
	label := string(f.fault.Kind)
	if f.fault.Shape != "" {
		label = f.fault.Shape
	}
	for _, m := range f.fault.Members {
		label += fmt.Sprintf(" %d", m)
	}
	return label
}

// leaders draws when a member began to lead.
func (d *drawing) leaders(t *timeline, top, bottom float64) {
	free := 0.0 // where the next label may begin
	for _, l := range t.leaders {
		x := d.x(l.at)
		d.add(`<g><title>member %d leads epoch %d from %s</title><line class="leader" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`,
			l.member, l.epoch, clockWord(l.at), x, x, top-4, bottom)
		d.add(`<path class="leader-mark" d="M%.1f %.1fl-4 -6h8z"/>`, x, top-3)
		label := fmt.Sprintf("%d leads", l.member)
		if d.size.labels && x >= free && x+leaderSpace < d.size.width {
			d.add(`<text class="leader-name" x="%.1f" y="%.1f">%s</text>`, x+7, top-6, label)
			free = x + leaderSpace
		}
		d.add(`</g>`)
	}
}

func (d *drawing) panelTitle(title string, top float64) {
	if d.size.labels && top > chartTop {
		d.add(`<text class="title" x="%.1f" y="%.1f">%s</text>`, d.size.left, top-9, title)
	}
}

// line draws a rule across a panel with its value beside it.
func (d *drawing) line(y float64, label string) {
	d.add(`<line class="rule" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, d.size.left, d.size.width-d.size.right, y, y)
	d.add(`<text class="tick" text-anchor="end" x="%.1f" y="%.1f">%s</text>`, d.size.left-6, y+4, label)
}

// axis draws the seconds of the run.
func (d *drawing) axis(y float64) {
	step := niceStep(d.end.Seconds(), d.size.ticks)
	d.add(`<line class="axis" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, d.size.left, d.size.width-d.size.right, y, y)
	for s := 0.0; s <= d.end.Seconds(); s += step {
		x := d.x(time.Duration(s * float64(time.Second)))
		anchor := "middle"
		if x+16 > d.size.width {
			anchor = "end"
		}
		d.add(`<line class="axis" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x, x, y, y+4)
		d.add(`<text class="tick" text-anchor="%s" x="%.1f" y="%.1f">%g s</text>`, anchor, x, y+17, s)
	}
}

// niceStep is 1, 2 or 5 times a power of ten, so that about count steps make up most.
func niceStep(most float64, count int) float64 {
	if most <= 0 {
		return 1
	}
	raw := most / float64(count)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if raw <= factor*power {
			return max(1, factor*power)
		}
	}
	return max(1, 10*power)
}
