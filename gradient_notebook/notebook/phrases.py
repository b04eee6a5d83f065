"""What to do about an error, in a notebook."""

from __future__ import annotations

from collections.abc import Mapping

from ..api.error_words import SCRIPT

NOTEBOOK: Mapping[str, str] = {
    "log_in": "For the real service, set GRADIENT_MODEL_ACCESS_KEY or run %imagegen_login.",
    "log_in_again": "Run %imagegen_login again, or %imagegen_login --forget to stop using it.",
    "keep_in_memory": "%imagegen_login without --keyring keeps it in this kernel's memory only.",
    "list_models": "%imagegen_models lists the models.",
    "choose_model": "%imagegen_models lists the models; %config ImageGen.model = '…' sets another.",
    "set_model": "%config ImageGen.model = {model!r} sets another.",
    "set_prices": "Set yours, per million tokens: %config ImageGen.prices = {'input_text_tokens': 5, 'output_image_tokens': 40}",
    "allow_more": "Reword the prompt, or try --moderation low.",
    "show_record": "Its record: %imagegen_history {record_id}",
    "report": SCRIPT["report"],
    "keep_history": "Set %config ImageGen.archive = True, or pass archive_dir=.",
    "wait_longer": "Raise %config ImageGen.read_timeout_s to wait longer.",
    "allow_longer": "Raise %config ImageGen.max_request_s to allow longer requests.",
    "without_stream": "A cell asks for a stream unless told otherwise: try --no-stream.",
}
"""What to do about an error, in a notebook: the same names as `error_words.SCRIPT`."""
