"""Which of transformers' tokenizer classes opens a model folder.

transformers 5 takes `tokenizer.json` as it stands (its class `TokenizersBackend`) for
most folders. A few classes take only vocabulary, merges and post-processor from it and
have normalizer and pre-tokenizer of their own. Which class it is follows from
`tokenizer_class` of tokenizer_config.json and from the `model_type` of config.json.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attninfluence._core import ModelError

AS_FILE = "TokenizersBackend"

# Classes with a pipeline of their own, which pipelines.py builds.
REBUILT = frozenset(
    "CodeGenTokenizer CodeLlamaTokenizer CohereTokenizer GPT2Tokenizer GPTNeoXTokenizer "
    "GemmaTokenizer LlamaTokenizer Qwen2Tokenizer Qwen3_5Tokenizer".split()
)

# Other names for AS_FILE, beside every name that transformers does not know.
_OTHER_NAMES = frozenset("PreTrainedTokenizer BloomTokenizer ParakeetTokenizer".split())

# Classes with a pipeline of their own, or one in Python, which is not built here.
REFUSED = frozenset(
    "AlbertTokenizer BartTokenizer BarthezTokenizer BartphoTokenizer BertGenerationTokenizer "
    "BertJapaneseTokenizer BertTokenizer BertweetTokenizer BigBirdTokenizer BioGptTokenizer "
    "BlenderbotSmallTokenizer BlenderbotTokenizer ByT5Tokenizer CLIPTokenizer CTRLTokenizer "
    "CamembertTokenizer CanineTokenizer ClvpTokenizer ConvBertTokenizer CpmAntTokenizer "
    "CpmTokenizer DPRQuestionEncoderTokenizer DebertaTokenizer DebertaV2Tokenizer DiaTokenizer "
    "DistilBertTokenizer EsmTokenizer EsmcTokenizer "
    "FNetTokenizer FSMTTokenizer FlaubertTokenizer FunnelTokenizer GPTNeoXJapaneseTokenizer "
    "GPTSw3Tokenizer HerbertTokenizer LEDTokenizer LasrTokenizer LayoutLMv2Tokenizer "
    "LayoutLMv3Tokenizer LayoutXLMTokenizer LukeTokenizer LxmertTokenizer M2M100Tokenizer "
    "MBart50Tokenizer MBartTokenizer MLukeTokenizer MPNetTokenizer MarianTokenizer "
    "MarkupLMTokenizer MgpstrTokenizer MistralCommonBackend MobileBertTokenizer MvpTokenizer "
    "MyT5Tokenizer NllbTokenizer NougatTokenizer OpenAIGPTTokenizer PLBartTokenizer "
    "PegasusTokenizer PerceiverTokenizer PhobertTokenizer ProphetNetTokenizer RagTokenizer "
    "ReformerTokenizer RemBertTokenizer RoCBertTokenizer RoFormerTokenizer RobertaTokenizer "
    "SeamlessM4TTokenizer Siglip2Tokenizer SiglipTokenizer Speech2TextTokenizer "
    "SpeechT5Tokenizer SplinterTokenizer SqueezeBertTokenizer T5Tokenizer TapasTokenizer "
    "Tipsv2Tokenizer UdopTokenizer VideoPrismTokenizer VitsTokenizer Wav2Vec2CTCTokenizer "
    "Wav2Vec2PhonemeCTCTokenizer "
    "WhisperTokenizer XGLMTokenizer XLMRobertaTokenizer XLMTokenizer XLNetTokenizer".split()
)

# The class that transformers registers for a model_type. Types that are not named here,
# "llama" among them, have none: what the folder declares is taken.
REGISTERED = {
    model_type: name
    for name, model_types in {
        "CohereTokenizer": "aya_vision cohere cohere2",
        "GPT2Tokenizer": "codegen dbrx gpt2 gpt_neo gptj jais2 opt phi starcoder2",
        "GPTNeoXTokenizer": "falcon_mamba gpt_neox mamba mamba2 mpt olmo olmoe rwkv xlstm",
        "GemmaTokenizer": "gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma",
        "Qwen2Tokenizer": "qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next",
        "Qwen3_5Tokenizer": "qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text",
        AS_FILE: "ernie4_5 ernie4_5_moe flex_olmo glm glm4 glm4_moe gpt_bigcode granite "
        "granitemoe granitemoehybrid granitemoeshared jamba llava llava_next minicpm3 ministral "
        "ministral3 mistral mistral3 mixtral nemotron olmo2 olmo3 phi3 phimoe stablelm",
    }.items()
    for model_type in model_types.split()
}

# Types whose folders often declare a wrong class, so that the registered one wins.
_DECLARED_WRONG = frozenset(
    "ernie4_5 ernie4_5_moe jamba llava llava_next minicpm3 nemotron phi3 phimoe qwen2 qwen3_5 "
    "qwen3_5_moe qwen3_5_moe_text".split()
)


def tokenizer_class(
    config: dict[str, Any], settings: dict[str, Any], is_byte_level: Callable[[], bool]
) -> str:
    """AS_FILE or one of REBUILT, as AutoTokenizer of transformers 5 decides.

    config, settings: config.json and tokenizer_config.json. is_byte_level: whether
    tokenizer.json names "ByteLevel" anywhere. ModelError for a class that is not built
    here, and for a tokenizer that is code in the folder.
    """
    model_type = str(config.get("model_type"))
    registered = REGISTERED.get(model_type)
    wrong = not _DECLARED_WRONG.isdisjoint((model_type, str(config.get("model_name"))))
    own = settings.get("tokenizer_class")
    declared = _bare(own or config.get("tokenizer_class"))
    # Code is run only for what transformers has no class for. With code, no rule below is asked.
    if _is_code(settings):
        if not (wrong or registered or _is_known(_bare(own))):
            raise ModelError(
                "the tokenizer is code that comes with the model (auto_map of "
                "tokenizer_config.json), which is not run; take auto_map out to have "
                "tokenizer.json read as it stands"
            )
        return _supported(declared or registered or AS_FILE)
    # Folders on bytes, as Llama 3's, declare Llama 2's class, whose pipeline is not on bytes.
    if declared == "LlamaTokenizer" and not wrong and is_byte_level():
        return AS_FILE
    # What is registered to be read as it stands is, whatever the folder declares.
    if registered == AS_FILE:
        return AS_FILE
    # Otherwise the folder has the word, unless folders of its type are known for a wrong one.
    if wrong and registered:
        return _supported(registered)
    return _supported(declared or registered or AS_FILE)


def _bare(name: Any) -> str:
    """The name without "Fast": transformers 5 has one class for both."""
    return name.removesuffix("Fast") if isinstance(name, str) else ""


def _is_code(settings: dict[str, Any]) -> bool:
    auto_map = settings.get("auto_map")
    if isinstance(auto_map, dict):
        return auto_map.get("AutoTokenizer") is not None
    return auto_map is not None


def _is_known(name: str) -> bool:
    return name == AS_FILE or any(name in names for names in (REBUILT, REFUSED, _OTHER_NAMES))


def _supported(name: str) -> str:
    if name in REFUSED:
        raise ModelError(
            f"transformers opens this tokenizer with {name}, which builds a pipeline of its own "
            "that this library does not know; write tokenizer_class PreTrainedTokenizerFast into "
            "tokenizer_config.json to have tokenizer.json read as it stands"
        )
    return name if name in REBUILT else AS_FILE
