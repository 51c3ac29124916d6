"""protocols: answers in the form of the three model APIs, as a whole and as the events of a stream."""
import json


def messages(body, reply):
    """Anthropic's Messages: the answer, and the events of its stream."""
    identifier = f"toolu_{reply.number:08}"
    if reply.tool:
        block = {"type": "tool_use", "id": identifier, "name": reply.tool, "input": reply.arguments}
        empty = dict(block, input={})
        delta = {"type": "input_json_delta", "partial_json": json.dumps(reply.arguments)}
    else:
        block, empty = {"type": "text", "text": reply.text}, {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": reply.text}
    whole = {
        "id": f"msg_{reply.number:08}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "fake"),
        "content": [block],
        "stop_reason": "tool_use" if reply.tool else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    begun = dict(whole, content=[], stop_reason=None)
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    events = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return whole, [(event["type"], event) for event in events]


def responses(body, reply):
    """OpenAI's Responses: the answer, and the events of its stream."""
    call = {"id": f"fc_{reply.number:08}", "call_id": f"call_{reply.number:08}", "name": reply.tool}
    if reply.tool and reply.free_form:
        item = dict(call, type="custom_tool_call", status="completed", input=reply.arguments)
    elif reply.tool:
        item = dict(call, type="function_call", status="completed", arguments=json.dumps(reply.arguments))
    else:
        content = [{"type": "output_text", "text": reply.text, "annotations": []}]
        item = {"type": "message", "id": f"msg_{reply.number:08}", "role": "assistant", "content": content}
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2,
    }
    whole = {
        "id": f"resp_{reply.number:08}",
        "object": "response",
        "created_at": 1,
        "model": body.get("model", "fake"),
        "status": "completed",
        "output": [item],
        "usage": usage,
    }
    events = [
        {"type": "response.created", "response": dict(whole, status="in_progress", output=[])},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return whole, [(event["type"], event) for event in events]


def completions(body, reply):
    """OpenAI's Chat Completions: the answer, and the events of its stream."""
    message = {"role": "assistant", "content": reply.text}
    if reply.tool:
        function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
        call = {"index": 0, "id": f"call_{reply.number:08}", "type": "function", "function": function}
        message["tool_calls"] = [call]
    reason = "tool_calls" if reply.tool else "stop"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    base = {"id": f"chat_{reply.number:08}", "created": 1, "model": body.get("model", "fake")}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    whole = dict(base, object="chat.completion", choices=[choice], usage=usage)
    chunk = dict(base, object="chat.completion.chunk")
    events = [
        dict(chunk, choices=[{"index": 0, "delta": message, "finish_reason": None}]),
        dict(chunk, choices=[{"index": 0, "delta": {}, "finish_reason": reason}], usage=usage),
        "[DONE]",
    ]
    return whole, [(None, event) for event in events]


PROTOCOLS = {"/messages": messages, "/responses": responses, "/chat/completions": completions}
