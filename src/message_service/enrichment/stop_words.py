"""Words that the search index leaves out: the commonest function words of the larger languages.

There is one list for all languages, so that leaving out a word depends only on the word and not on
the detected language: a query and a message always agree. Words that are content words in another
large language (German "die", French "son", Spanish "sin") are in the list only if they are function
words in most of the languages that have them. The long lists per language, for keywords, come from
`stopwordsiso`.
"""

from __future__ import annotations

from typing import Final

_BY_LANGUAGE: Final = {
    "en": "the a an and or of to in is it i you that was for on are with as be at this have has "
    "had from but by we he she they my your me do does did so if am its it's i'm just can will "
    "would there their them then than our his her him us",
    "es": "el la los las un una y o de del al en es que por con para su se lo le mi tu te yo ya "
    "muy como pero este esta eso esa ese nos les sus",
    "fr": "les une des du et ou est qui dans ce cette il elle je nous vous ils elles ne pas au aux "
    "mon ma mes ton ta tes sa ses c'est j'ai mais",
    "de": "der das und oder ein eine einen einem einer ist im den dem zu mit von fur auf es ich du "
    "er sie wir ihr nicht auch sich dass als am an bin sind mein meine dein aber wie",
    "it": "il gli i un e o di della dei delle che per da non si ci sono ho al alla ma questo "
    "questa",
    "pt": "o os as um uma e ou do da dos das em na nas nao eu voce ele ela meu minha mas ao",
    "nl": "het een en of van dat op te ik je jij hij zij wij niet met voor zijn er om ook",
    "ru": "и в во не что он на я с со как а то она так его но ты к у же вы за бы по от меня мне о "
    "из ему это мы",
    "id": "yang dan di ke dari ini itu untuk dengan saya aku kamu",
    "sv": "och att det som ett av er",
    "pl": "w z nie to sie ze jest",
    "tr": "ve bir bu icin ile",
    "ar": "من في علي الي عن هذا هذه ذلك التي الذي ان و او لا ما هو هي انا انت كان قد يا",
    "fa": "از در به كه اين را با است",
}

STOP_WORDS: Final = frozenset(word for words in _BY_LANGUAGE.values() for word in words.split())
"""In folded form (`words.fold`)."""
