"""The smallest file of every import format, by name."""

SAMPLES = {
    "openai": (
        '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": null, '
        '"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", '
        '"arguments": "{}"}}]}]}'
    ),
    "anthropic": '{"system": "s", "messages": [{"role": "user", "content": "hi"}]}',
    "sharegpt": '[{"conversations": [{"from": "human", "value": "hi"}]}]',
    "langchain": (
        '{"_id": {"$oid": "65a0b1c2d3e4f5a6b7c8d9e0"}, "SessionId": "s", '
        '"History": "{\\"type\\": \\"human\\", \\"data\\": {\\"content\\": \\"hi\\"}}"}'
    ),
    "claude": '[{"uuid": "c", "name": "T", "chat_messages": []}]',
    "sillytavern": (
        '{"user_name": "U", "character_name": "A", "create_date": "2024-7-12@01h31m37s"}\n'
        '{"name": "A", "is_user": false, "mes": "Hi"}\n'
    ),
    "charactercard": (
        '{"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "A", "first_mes": "Hi"}}'
    ),
    "librechat": '{"conversationId": "c", "endpoint": "openAI", "title": "T", "messages": []}',
    "openwebui": (
        '[{"id": "c", "title": "T", "chat": {"history": {"messages": {}, "currentId": null}}}]'
    ),
    "chatgpt": '\n[{"title": "T", "mapping": {}}]',
    "openassistant": '{"message_tree_id": "t", "prompt": {"text": "x", "replies": []}}',
    "mtbench": '{"question_id": 81, "turns": ["q"]}',
    "chitchat": '{"c": {"messages": [[{"text": "hi", "sender": "a"}]]}}',
    "irc": "[10:00] <a> x",
}
