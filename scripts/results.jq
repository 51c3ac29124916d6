# Reads Swift Testing's event stream (slurped) and prints one line a test function:
#   OUTCOME <tab> MODULE.SUITE/TEST <tab> REASON <tab> NAME
# with OUTCOME passed, failed or skipped. A test that started and never ended failed. A run that never ended,
# that ran nothing, or that failed with no test to blame is a failure with a line of its own.

def identifier: sub("/[^/]*\\.swift:[0-9]+:[0-9]+$"; "") | gsub("`"; "");
def line($outcome; $id; $reason; $name):
  [$outcome, ($id | identifier), ($reason | gsub("[\\t\\n]"; " ")), ($name | gsub("`"; ""))] | join("\t");
def run($reason): line("failed"; "the test run"; $reason; "the test run");
def comment: (.payload._comments // .payload.comments // []) | join("; ");

(map(select(.kind == "test" and .payload.kind == "function") | .payload)) as $functions
| map(select(.kind == "event")) as $events
| (reduce $events[] as $event ({};
    $event.payload.testID as $id
    | if $id == null then .
      elif $event.payload.kind == "testStarted" then .[$id] //= ["failed", "never ended"]
      elif $event.payload.kind == "testSkipped" or $event.payload.kind == "testCancelled" then
          .[$id] = ["skipped", ($event | comment)]
      elif $event.payload.kind == "testEnded" then
          ($event.payload.messages | last) as $message
          | if $message.symbol == "fail" then .[$id] = ["failed", $message.text]
            elif $message.symbol == "skip" then .[$id] = ["skipped", .[$id][1]]
            else .[$id] = ["passed", ""] end
      else . end)) as $outcomes
| [$functions[] | $outcomes[.id] as $outcome | select($outcome != null)
   | line($outcome[0]; .id; $outcome[1]; .displayName // .name)] as $lines
| ([$events[] | select(.payload.kind == "runEnded")] | last) as $ending
| $lines[],
  (if $ending == null then run("it ended before its last test")
   elif $lines == [] then run("no test was selected")
   elif ($ending.payload.messages | any(.symbol == "fail")) and ($lines | any(startswith("failed")) | not)
   then run($ending.payload.messages | map(.text) | join("; "))
   else empty end)
