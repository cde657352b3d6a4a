"""Whether a reply is a refusal: the provider's word for it, or a phrase at its beginning.

The phrases are a short hand-written list for English, Spanish, German, French, Portuguese and
Italian, in folded form (`enrichment.folding`): no accents, no capitals, plain apostrophes. A phrase
counts only at the beginning of a clause within the first 200 characters.

"I can't" alone is no refusal ("I can't wait", "I can't go to the ball"). What is refused must be
the request itself: helping "with that", providing, generating content, answering this question. A
character who speaks or acts ("*sighs* I can't help with that") refuses only where the phrase names
an AI or a policy. Other languages and indirect refusals are not found; the score is 0 then.
"""

from __future__ import annotations

import re

from message_service.enrichment.folding import fold
from message_service.generation.quality.evaluator import Evaluator, Judged

BEGINNING = 200
"""A phrase that begins after so many characters is not looked for."""

_READ = BEGINNING + 200  # a phrase may go on beyond
_AI = (
    r"(?:an? )?(?:ai\b|artificial intelligence|(?:large )?language model|virtual assistant|"
    r"text-based)"
)
_CANNOT = (
    r"(?:(?:i|we) (?:can't|cannot|can not|won't|will not|(?:won't|will not) be able to|must "
    r"decline to|have to decline to|decline to)|(?:i(?: am|'m)|we(?: are|'re)) "
    r"(?:not able|unable) to)"
)
# An AI that cannot feel or have opinions explains itself and mostly goes on to answer.
_FEELING = r"(?! (?:truly|physically|feel|experience|have|taste|smell|wait|believe|love|eat|be)\b)"
_GAP = r"[^.!?\n]"

# Who the speaker is, or which rule forbids the reply: found in anybody's mouth.
_DECLARED = (
    rf"(?:as {_AI}{_GAP}{{0,80}}|i(?:'m| am) (?:just |only )?{_AI}{_GAP}{{0,60}})"
    rf"\b(?:{_CANNOT}{_FEELING}|i (?:don't|do not) (?:provide|engage)\b|i (?:don't|do not) have "
    r"(?:access|the ability)(?![^\n]{0,200}\b(?:however|but)\b))",
    rf"(?:this|that|your|the) (?:request|prompt|content|topic)\b{_GAP}{{0,40}}(?:violates?|"
    rf"goes against|is against)\b{_GAP}{{0,40}}(?:polic|guideline|terms)",
    rf"(?:que|soy un|como) (?:una? )?(?:ia\b|inteligencia artificial|modelo de lenguaje|"
    rf"asistente (?:de ia|virtual)){_GAP}{{0,80}}\bno (?:puedo|me es posible)(?! (?:sentir|tener))",
    rf"als (?:eine? )?(?:ki\b|kunstliche intelligenz|sprachmodell|ki-){_GAP}{{0,80}}\bkann ich "
    rf"(?:{_GAP}{{0,60}} )?(?:nicht|keine?n?)\b",
    rf"en tant qu(?:e |')(?:une? )?(?:ia\b|intelligence artificielle|modele (?:de langage|"
    rf"linguistique)|assistante? (?:ia|virtuel)){_GAP}{{0,80}}\bje ne (?:peux|puis|suis) pas"
    rf"(?! (?:ressentir|avoir))",
    rf"como (?:uma? )?(?:ia\b|inteligencia artificial|modelo de lingua(?:gem)?|assistente (?:de ia|"
    rf"virtual)){_GAP}{{0,80}}\bnao (?:posso|consigo)(?! (?:sentir|ter))",
    rf"(?:come|in quanto) (?:una? )?(?:ia\b|intelligenza artificiale|modello (?:linguistico|di "
    rf"linguaggio)|assistente (?:ia|virtuale)){_GAP}{{0,80}}\bnon (?:posso|sono in grado)"
    rf"(?! (?:provare|avere|di provare))",
)

_WORK = (
    rf"{_GAP}{{0,50}}\b(?:content|material|instructions|malware|code|scripts?|stor(?:y|ies)|jokes?|"
    r"fiction|images?|messages?|information|advice|requests?)\b"
)
# What a person could say too, but hardly a character in a scene.
_PLAIN = (
    rf"{_CANNOT} (?:help|assist)(?: you)?(?:,? with (?:that|this|those|these|such|your|"
    r"(?:the )?requests?|any|anything|\w{1,20}ing)\b|[^\w]{0,3}$)",
    rf"{_CANNOT} (?:provide(?! for\b)|fulfil+|comply|assist)\b",
    rf"{_CANNOT} (?:create|generate|write|produce|discuss|share|give|engage in|support|"
    rf"offer|participate in|continue with)\b(?:{_WORK}| (?:that|this|such)\b)",
    rf"{_CANNOT} (?:answer|respond to) (?:that|this|your|such)\b",
    r"i(?:'m| am) not comfortable (?:providing|creating|writing|generating|helping|assisting|"
    r"discussing|answering)\b",
    rf"i must (?:respectfully |politely )?decline (?:this|that|your) request|"
    rf"sorry, (?:but )?{_CANNOT} do (?:that|this)\b|sorry, (?:but )?{_CANNOT}\W{{0,3}}$",
    r"(?:no|yo no) (?:puedo|podemos|podre)(?: (?:ayudar(?:te|le|los|les)?|asistir(?:te|le)?) "
    r"(?:con|en|a) (?:es[oae]|est[oae]|tu|su|ningun)\b| (?:proporcionar|facilitar|cumplir|"
    r"generar|responder a (?:es[ao]|est[ao]|tu|su))\b)",
    r"lo siento, (?:pero )?no puedo(?: hacer (?:eso|esto)\b|\W{0,3}$)",
    rf"(?:ich kann|kann ich|konnen wir) {_GAP}{{0,40}}\b(?:dabei|damit|hierbei|bei diese[rm] "
    rf"\w{{1,20}}) {_GAP}{{0,20}}\bnicht (?:weiter)?(?:helfen|behilflich|dienen|unterstutzen)",
    rf"(?:dabei|damit|hierbei) kann ich {_GAP}{{0,20}}\bnicht (?:weiter)?(?:helfen|dienen)",
    rf"(?:ich kann|kann ich) {_GAP}{{0,20}}\b(?:diese|deine|ihre|eure) (?:anfrage|frage|bitte) "
    rf"{_GAP}{{0,20}}\bnicht (?:beantworten|erfullen|bearbeiten|nachkommen)",
    rf"(?:ich kann|kann ich|ich darf) {_GAP}{{0,30}}\b(?:nicht|keine?n?)\b{_GAP}{{0,80}}\b"
    r"(?:bereitstellen|generieren|zur verfugung stellen)",
    r"je ne (?:peux|puis|suis) pas (?:en mesure de |capable de )?(?:(?:vous |t'|te )?(?:aider|"
    r"assister) (?:a|avec|sur|dans|pour) (?:cela|ca|ce|cette|cet|votre|ta)\b|(?:vous |te )?fournir|"
    r"(?:y )?repondre a (?:cette|votre|ta)\b|generer|satisfaire|donner suite)",
    r"desolee?, (?:mais )?je ne (?:peux|puis) pas(?: (?:faire (?:cela|ca)|vous aider)\b|\W{0,3}$)",
    r"(?:eu )?nao (?:posso|consigo|podemos) (?:(?:te |lhe )?ajudar?(?:-l[oa]|-te)? (?:com|a|nisso|"
    r"nesse)\b(?: (?:isso|isto|ess[ea]|est[ea]|seu|sua)\b)?|fornecer|atender|gerar|cumprir|"
    r"responder a (?:ess[ea]|est[ea]|sua)\b)",
    r"(?:desculpe|desculpa|sinto muito|lamento), (?:mas )?(?:eu )?nao posso(?: fazer isso\b|"
    r"\W{0,3}$)",
    r"non (?:posso|sono in grado di) (?:(?:aiutar(?:ti|la|vi|e)|assister(?:ti|la|e)) "
    r"(?:con|in|a|su) (?:quest[oaie]|cio|quell[oa]|la tua|la sua)\b|fornir(?:e|ti|le)|generare|"
    r"soddisfare|rispondere a (?:quest|tale))",
    r"(?:mi dispiace|mi spiace|spiacente), (?:ma )?non posso(?: farlo\b|\W{0,3}$)",
)

# Where a clause begins. An opening quotation mark is none: there somebody else speaks.
_START = (
    r"(?:^|[.!?,;:\n*>_-][ *_]{0,3}|\b(?:but|however|so|and|therefore|afraid|that|i'm|pero|aber|"
    r"leider|mais|mas|ma) )"
)
_REFUSES = re.compile(rf"{_START}(?:{'|'.join(f'(?:{phrase})' for phrase in _PLAIN)})")
_REFUSES_AS_AI = re.compile(rf"{_START}(?:{'|'.join(f'(?:{phrase})' for phrase in _DECLARED)})")
_IN_CHARACTER = re.compile(r"\s*(?:[\"“„«»「『]|\*[^*\s]|_[^_\s]|\([a-z])")
_SPACE = re.compile(r"[^\S\n]{1,40}")


def judge_refusal(judged: Judged) -> float | None:
    """Return 1 for a refusal, and 0 for another reply."""
    if judged.refusal or judged.finish_reason == "content_filter":
        return 1.0
    text = judged.answer[: 4 * _READ].lstrip()
    head = _SPACE.sub(" ", fold(text[:_READ]))
    patterns = (_REFUSES_AS_AI,) if _IN_CHARACTER.match(text) else (_REFUSES_AS_AI, _REFUSES)
    found = (pattern.search(head) for pattern in patterns)
    return float(any(match is not None and match.start() < BEGINNING for match in found))


REFUSAL = Evaluator(
    name="refusal_phrases",
    version="1",
    field="refusal_score",
    purpose="Whether the provider or a phrase at the beginning says that the reply is a refusal.",
    judge=judge_refusal,
)
