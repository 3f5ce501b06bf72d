package templates_test

import (
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/templates"
)

// orderYAML is the text of the template that the examples are about.
const orderYAML = `
name: order
namespace_name: shop
version: 1.0.0
schema:
  type: object
  required: [order_id]
  properties:
    order_id: {type: integer, minimum: 1}
    priority: {enum: [standard, express], default: standard}
step_templates:
  - name: validate
    handler_class: Shop::Validate
  - name: reserve
    handler_class: Shop::Reserve
    depends_on_step: validate
  - name: charge
    handler_class: Shop::Charge
    depends_on_step: validate
  - name: ship
    handler_class: Shop::Ship
    depends_on_steps: [reserve, charge]
`

// A template is read whole: its steps come in an order in which each follows its
// parents.
func Example() {
	tmpl, err := templates.Parse([]byte(orderYAML), "order.yml")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range tmpl.Steps {
		fmt.Println(step.Level, step.Name, step.HandlerClass, step.Parents)
	}
	// Output:
	// 0 validate Shop::Validate []
	// 1 reserve Shop::Reserve [validate]
	// 1 charge Shop::Charge [validate]
	// 2 ship Shop::Ship [reserve charge]
}

// order is the template that the examples are about.
func order() *templates.Template {
	tmpl, err := templates.Parse([]byte(orderYAML), "order.yml")
	if err != nil {
		log.Fatal(err)
	}
	return tmpl
}
