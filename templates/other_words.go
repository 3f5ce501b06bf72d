package templates

import (
	"slices"
	"strings"
)

// otherWords are words that other job systems have for a key of ours.
type otherWords struct {
	// hint says what it is here.
	hint string
	// words are in small letters, without the characters between words.
	words []string
}

// isKey is the hint for words of one key.
func isKey(key, words string) otherWords {
	return otherWords{`Did you mean "` + key + `"?`, strings.Fields(words)}
}

func isText(text, words string) otherWords {
	return otherWords{"Did you mean " + text, strings.Fields(words)}
}

const (
	wordsForAttempts = "retries retrycount retrylimit retryattempts retrymax maxretries maxretry maxretrycount maxattempts maximumattempts maxtries tries attempts numretries"
	wordsForParents  = "needs requires require after runafter parents parent upstream prerequisites deps depends dependencies dependson waitfor waitsfor dependency"
	wordsForClass    = "class classname klass job jobclass worker workerclass callable activity activityname action uses run processor executor operator task function func"
	wordsForConfig   = "config configuration arg args arguments param params parameters with options opts input inputs settings kwargs payload initialization"
	wordsForTimeout  = "timeout timeouts timeoutsecs timeoutsec timeoutms timeoutminutes timelimit maxruntime maxduration executiontimeout starttoclosetimeout deadline"
	wordsForDelay    = "delay retrydelay retrywait retryinterval retryin wait interval initialdelay initialinterval backoffseconds backoffbase"
	wordsForLimit    = "concurrency maxconcurrency concurrencylimits parallelism maxparallel semaphore mutex lock limitsconcurrency"
	wordsForSteps    = "tasks jobs activities stages nodes states step steptemplate workflow pipeline"
	wordsForSchema   = "context contextschema input inputs inputschema params parameters paramsschema jsonschema payload arguments"
	wordsForKeep     = "retention retain ttl expiry expires expiresin expireafter keepfor deleteafter cleanup cleanupafter resultttl"
	wordsForName     = "id title label"
	allAttempts      = " It counts all attempts, the first one included."
)

// engineWords and coreWords are the words by the mapping that they are in.
var (
	engineWords = map[string][]otherWords{
		"a step": {
			isText(`"default_retry_limit"?`+allAttempts, wordsForAttempts),
			isKey("depends_on_steps", wordsForParents),
			isKey("handler_class", wordsForClass),
			isKey("handler_config", wordsForConfig),
			isKey("timeout_seconds", wordsForTimeout),
			isKey("name", wordsForName),
			isText("backoff: {base_seconds: SECONDS}?", wordsForDelay),
			isText(`"concurrency_limit", with a concurrency_key?`, wordsForLimit),
		},
		"a template": {
			isKey("step_templates", wordsForSteps), isKey("schema", wordsForSchema), isKey("keep", wordsForKeep), isKey("name", wordsForName),
		},
		"backoff": {
			isKey("base_seconds", "delay initialdelay initialinterval interval wait base seconds start min backoffbasems"),
			isKey("max_seconds", "max maximum maxdelay maxwait maxinterval maximuminterval cap ceiling limit maxbackoffms"),
			isKey("curve", "strategy type kind policy mode algorithm function backoff"),
			isKey("jitter", "random randomize randomization noise randomfactor"),
		},
	}
	coreWords = map[string][]otherWords{
		"a step": {
			isText("retry: {max_attempts: N}?"+allAttempts, wordsForAttempts),
			isKey("dependencies", wordsForParents),
			isText("handler: {callable: NAME}?", wordsForClass),
			isText("handler: {initialization: MAPPING}?", wordsForConfig),
			isKey("timeout_seconds", wordsForTimeout),
			isKey("name", wordsForName),
			isText("retry: {backoff_base_ms: MILLISECONDS}?", wordsForDelay),
			isText(`"concurrency_limit", with a concurrency_key?`, wordsForLimit),
		},
		"a template": {
			isKey("steps", wordsForSteps), isKey("input_schema", wordsForSchema), isKey("keep", wordsForKeep), isKey("name", wordsForName),
		},
		"handler": {isKey("callable", wordsForClass+" name handler"), isKey("initialization", wordsForConfig)},
		"retry": {
			isKey("max_attempts", wordsForAttempts+" count max"),
			isKey("backoff_base_ms", wordsForDelay), isKey("backoff", "strategy type kind policy curve"),
		},
	}
)

// elsewhere returns a hint for a key that belongs into another mapping of the template, or
// that another job system has for one of the known keys.
func (f *format) elsewhere(name, what string) string {
	switch {
	case what == "a step" && slices.Contains(keyNames(f.template), name):
		return "It is a key of a template. Put it beside " + f.list + ":."
	case what == "a template" && slices.Contains(keyNames(f.step), name):
		return "It is a key of a step. Put it into those that it concerns."
	}
	return f.ofOtherWord(plainWord(name), what)
}

func (f *format) ofOtherWord(word, what string) string {
	for _, other := range f.otherWords[what] {
		if slices.Contains(other.words, word) {
			return other.hint
		}
	}
	return ""
}

// nearElsewhere is elsewhere for a key that is misspelt, too.
func (b *builder) nearElsewhere(name, what string) string {
	const shortest = 6 // too much is near a shorter word
	var words []string
	for _, other := range b.format.otherWords[what] {
		for _, word := range other.words {
			if len(word) >= shortest {
				words = append(words, word)
			}
		}
	}
	near := b.problems.near(plainWord(name), words)
	if len(near) == 0 {
		return ""
	}
	return b.format.ofOtherWord(near[0], what)
}

func plainWord(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
}
