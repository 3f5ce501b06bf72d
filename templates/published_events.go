package templates

import (
	"strconv"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// PublishedEvent is an event that is published when an attempt of its step has ended.
type PublishedEvent struct {
	Name        string           `json:"name"`
	Description string           `json:"description,omitempty"`
	Condition   PublishCondition `json:"condition"`
	// DeliveryMode is what the template says: durable, fast or broadcast. All are delivered
	// alike.
	DeliveryMode string `json:"delivery_mode"`
	// Publisher is the name of the Ruby object that makes the payload. It is "" for the
	// default one.
	Publisher string `json:"publisher,omitempty"`
}

// PublishCondition says after which attempts an event is published.
type PublishCondition string

// The values of PublishCondition.
const (
	PublishOnSuccess          PublishCondition = "success"
	PublishOnFailure          PublishCondition = "failure"
	PublishOnRetryableFailure PublishCondition = "retryable_failure"
	PublishOnPermanentFailure PublishCondition = "permanent_failure"
	PublishAlways             PublishCondition = "always"
)

const defaultDeliveryMode = "durable"

// publishedEvents reads the publishes_events of a step. An event is a name, or a mapping.
func (b *builder) publishedEvents(m *tree.Member) []PublishedEvent {
	if m == nil {
		return nil
	}
	var events []PublishedEvent
	lasting := false
	first := make(map[string]*tree.Node)
	for i, item := range b.list(*m) {
		name := &tree.Member{Key: m.Key + "[" + strconv.Itoa(i) + "]", Value: item}
		event := PublishedEvent{Condition: PublishOnSuccess, DeliveryMode: defaultDeliveryMode}
		if item.Kind == tree.Object {
			b.checkKeys(item, coreEventKeys, "an event")
			b.publishing(item, &event)
			if name = item.Get("name"); name == nil {
				b.problems.at(item, "Add a name.", "%s[%d] has no name", m.Key, i)
				continue
			}
		}
		var named CustomEvent
		if b.nameEvent(&named, *name, first) {
			event.Name = named.Name
			events = append(events, event)
			lasting = lasting || event.DeliveryMode != "fast"
		}
	}
	if lasting {
		b.problems.warn(m.Key, *m, "Write delivery_mode: fast if that is enough. For more, let the handler write to a table.",
			"events that are durable or broadcast are published as fast ones are: once at most, to subscribers in the worker's process")
	}
	return events
}

func (b *builder) publishing(n *tree.Node, event *PublishedEvent) {
	if m := n.Get("description"); m != nil {
		event.Description, _ = b.text(*m)
	}
	if m := n.Get("condition"); m != nil {
		event.Condition = oneOf(b, *m, event.Condition,
			PublishOnSuccess, PublishOnFailure, PublishOnRetryableFailure, PublishOnPermanentFailure, PublishAlways)
	}
	if m := n.Get("delivery_mode"); m != nil {
		event.DeliveryMode = oneOf(b, *m, event.DeliveryMode, defaultDeliveryMode, "fast", "broadcast")
	}
	if m := n.Get("publisher"); m != nil && m.Value.Kind != tree.Null {
		event.Publisher, _ = b.label(*m)
	}
}

// publishedDocument has every default written out.
func publishedDocument(events []PublishedEvent) *tree.Node {
	list := &tree.Node{Kind: tree.Array}
	for _, e := range events {
		item := object()
		item.text("name", e.Name)
		item.optional("description", e.Description)
		item.text("condition", string(e.Condition))
		item.text("delivery_mode", e.DeliveryMode)
		item.optional("publisher", e.Publisher)
		list.Items = append(list.Items, item.node)
	}
	return list
}
