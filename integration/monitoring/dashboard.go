package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Dashboard is what of a Grafana dashboard its tests look at.
type Dashboard struct {
	UID, Title  string
	Panels      []Panel
	Annotations struct{ List []Target }
	Templating  struct{ List []Variable }
}

// Panel is a panel, or the title of a row.
type Panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               Datasource
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []Target
}

// Target is a query.
type Target struct {
	Name, Expr, LegendFormat string
	Datasource               Datasource
}

// Datasource names where to ask.
type Datasource struct{ Type, UID string }

// Variable is what is chosen at the top of the page.
type Variable struct {
	Name, Type string
	Query      json.RawMessage // the datasource's kind, or an object with the query
	Datasource Datasource
}

// ParseDashboard reads a dashboard and looks at its shape.
func ParseDashboard(data []byte) (*Dashboard, error) {
	d := &Dashboard{}
	if err := json.Unmarshal(data, d); err != nil {
		return nil, err
	}
	var errs []error
	ids, taken := map[int]string{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if other := ids[p.ID]; other != "" || p.ID == 0 {
			errs = append(errs, fmt.Errorf("%q and %q have the id %d", p.Title, other, p.ID))
		}
		ids[p.ID] = p.Title
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					errs = append(errs, fmt.Errorf("%q lies over %q or the edge", p.Title, other))
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && (p.Datasource.UID != "${datasource}" || len(p.Targets) == 0) {
			errs = append(errs, fmt.Errorf("%q has no query, or a datasource that cannot be chosen", p.Title))
		}
		for _, t := range p.Targets {
			if t.Datasource.UID != "${datasource}" {
				errs = append(errs, fmt.Errorf("a query of %q has a datasource that cannot be chosen", p.Title))
			}
		}
	}
	return d, errors.Join(errs...)
}

// chosen is what Grafana puts in place of its variables.
var chosen = strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*")

// Filled is the query with all hosts chosen.
func (t Target) Filled() string { return chosen.Replace(t.Expr) }

// legend is a label in a legend: {{label}}.
var legend = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// Legend is the labels that the legend names.
func (t Target) Legend() []string {
	var labels []string
	for _, m := range legend.FindAllStringSubmatch(t.LegendFormat, -1) {
		labels = append(labels, m[1])
	}
	return labels
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)

// Values is the query and the label that a variable's values come from; "" where it is
// none of Prometheus's.
func (v Variable) Values() (expr, label string, err error) {
	if v.Type != "query" {
		return "", "", nil
	}
	var q struct{ Query string }
	if err := json.Unmarshal(v.Query, &q); err != nil {
		return "", "", fmt.Errorf("the variable %s: %w", v.Name, err)
	}
	m := labelValues.FindStringSubmatch(q.Query)
	if m == nil || v.Datasource.UID != "${datasource}" {
		return "", "", fmt.Errorf("the variable %s: %q is no label_values of the chosen datasource", v.Name, q.Query)
	}
	return chosen.Replace(m[1]), m[2], nil
}
