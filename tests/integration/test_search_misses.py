"""Kinds of words that searches missed: what finds them, what does not, and what is marked."""

import pytest

from message_service import MessageService

USER = "user_000000000001"


async def check(service: MessageService, cases: list[tuple[str, str, str | None]]) -> None:
    """Search one text at a time.

    Args:
        service: The service.
        cases: Text, query, and the snippet with its marks; None where the text must not be found.
    """
    conversations: dict[str, str] = {}
    for text, _, _ in cases:
        if text not in conversations:
            made = await service.conversations.create(USER)
            await service.messages.append(made.conversation_id, "user", text)
            conversations[text] = made.conversation_id
    await service.search_index.drain()
    for text, query, expected in cases:
        page = await service.search.find(query, conversation_id=conversations[text])
        shown = [hit.snippet.marked("[", "]") for hit in page if page.matched == "all"]
        assert shown == ([] if expected is None else [expected]), (text, query)


async def test_dates_and_names_in_file_names(service: MessageService) -> None:
    photos = "saved as holiday_2031-07-13_beach_photos.pdf"
    await check(
        service,
        [
            ("file report-2031-07-13.csv", "2031-07-13", "file report-[2031-07-13].csv"),
            (photos, "2031-07-13", "saved as holiday_[2031-07-13]_beach_photos.pdf"),
            (photos, "2031-07", "saved as holiday_[2031-07]-13_beach_photos.pdf"),
            (photos, "beach", "saved as holiday_2031-07-13_[beach]_photos.pdf"),
            (photos, "beach_photos", "saved as holiday_2031-07-13_[beach_photos].pdf"),
            (photos, "photos.pdf", "saved as holiday_2031-07-13_beach_[photos].[pdf]"),
            (photos, ".pdf", "saved as holiday_2031-07-13_beach_photos[.pdf]"),
            (photos, "2031-07-14", None),
            (photos, "2031-13", None),
            ("at 2031-07-13T10:00:00Z", "2031-07-13", "at [2031-07-13]T10:00:00Z"),
            ("log2031-07-13final.txt", "2031-07-13", "log[2031-07-13]final.txt"),
            ("see IMG_20310713_1015.jpg", "20310713", "see IMG_[20310713]_1015.jpg"),
            ("the state-of-the-art one", "state", "the [state]-of-the-art one"),
        ],
    )


async def test_parts_of_identifiers(service: MessageService) -> None:
    call = "call getUserProfile() first"
    await check(
        service,
        [
            (call, "profile", "call getUser[Profile]() first"),
            ("we will call getProfiles() soon", "profile", "we will call get[Profiles]() soon"),
            (call, "userprofile", "call get[UserProfile]() first"),
            (call, "GETUSERPROFILE", "call [getUserProfile]() first"),
            (call, "prof*", "call getUser[Profile]() first"),
            (call, "userpro", None),
            (call, "file", None),
            ("the HTTPServer class", "server", "the HTTP[Server] class"),
            ("the HTTPServer class", "http", "the [HTTP]Server class"),
            ("use XMLHttpRequest", "request", "use XMLHttp[Request]"),
            ("all the PDFs", "pdf", "all the [PDFs]"),
            ("see getПрофиль() now", "профиль", "see get[Профиль]() now"),
            ("set MAX_RETRY_COUNT=5", "retry", "set MAX_[RETRY]_COUNT=5"),
            ("set MAX_RETRY_COUNT=5", "retry_count", "set MAX_[RETRY_COUNT]=5"),
            ("with python3", "python", "with [python]3"),
            ("my iPhone15", "iphone", "my [iPhone]15"),
            ("key a9f3c0b7d2e8", "f3c0", None),
        ],
    )


async def test_parts_of_paths_versions_and_addresses(service: MessageService) -> None:
    path = "run /usr/local/bin/run_job.py"
    await check(
        service,
        [
            (path, "run_job.py", "run /usr/local/bin/[run_job].[py]"),
            (path, "local", "run /usr/[local]/bin/run_job.py"),
            (path, "job", "run /usr/local/bin/run_[job].py"),
            (path, "loc", None),
            ("v2.11.3 is out", "2.11.3", "v[2].[11].[3] is out"),
            ("v2.11.3 is out", "v2.11.3", "[v2].[11].[3] is out"),
            ("v2.11.3 is out", "2.11", "v[2].[11].3 is out"),
            ("v2.11.3 is out", "2.12", None),
            ("to bo.smith@mail.example.org", "smith", "to bo.[smith]@mail.example.org"),
            ("to bo.smith@mail.example.org", "example.org", "to bo.smith@mail.[example].[org]"),
            ("on db-1.eu-west.example.org", "eu-west", "on db-1.[eu-west].example.org"),
        ],
    )


@pytest.mark.parametrize("sign", ["\u00ad", "\u200b", "\u2060", "\u200e", "\u200f", "\u2066"])
async def test_invisible_characters_inside_words(service: MessageService, sign: str) -> None:
    await check(
        service,
        [
            (f"extra{sign}ordinary day", "extraordinary", f"[extra{sign}ordinary] day"),
            (f"extra{sign}ordinary day", '"extraordinary day"', f"[extra{sign}ordinary day]"),
            (f"extra{sign}ordinary day", f"extra{sign}ordinary", f"[extra{sign}ordinary] day"),
            (f"extra{sign}ordinary day", "extraterrestrial", None),
            ("a password", f"pass{sign}word", "a [password]"),
            (f"{sign}hello{sign} you", "hello", f"{sign}[hello]{sign} you"),
            (f"私は東{sign}京タワー", "東京", f"私は[東{sign}京]タワー"),
        ],
    )


async def test_a_zero_width_space_may_divide_words(service: MessageService) -> None:
    await check(
        service,
        [
            ("long\u200bline here", "longline", "[long\u200bline] here"),
            ("long\u200bline here", "line", "[long\u200bline] here"),
            ("long\u00adline here", "line", None),
        ],
    )


async def test_one_emoji_is_one_word(service: MessageService) -> None:
    england = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    scotland = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
    await check(
        service,
        [
            ("to 🇯🇵🇫🇷 soon", "🇯🇵", "to [🇯🇵]🇫🇷 soon"),
            ("to 🇯🇵🇫🇷 soon", "🇫🇷", "to 🇯🇵[🇫🇷] soon"),
            ("to 🇯🇵🇫🇷 soon", "🇵🇫", None),
            ("to 🇯🇵🇫🇷 soon", '"🇯🇵 🇫🇷"', "to [🇯🇵🇫🇷] soon"),
            ("my 👨‍👩‍👧 here", "👨‍👩‍👧", "my [👨‍👩‍👧] here"),
            ("my 👨‍👩‍👧 here", "👩", "my [👨‍👩‍👧] here"),
            ("my 👨👩👧 here", "👨‍👩‍👧", None),
            ("ok 👍🏽", "👍", "ok [👍🏽]"),
            ("ok 👍", "👍🏿", "ok [👍]"),
            ("ok 👍🏽", "👎", None),
            ("I ❤️ it", "❤", "I [❤️] it"),
            ("I ❤ it", "❤️", "I [❤] it"),
            ("a 👩🏽‍💻 works", "👩‍💻", "a [👩🏽‍💻] works"),
            ("press 1️⃣ now", "1️⃣", "press [1️⃣] now"),
            ("press 1️⃣ now", "1", "press [1️⃣] now"),
            ("press 1 now", "1️⃣", None),
            (f"go {england}", england, f"go [{england}]"),
            (f"go {scotland}", england, None),
        ],
    )


async def test_signs_that_are_part_of_a_name(service: MessageService) -> None:
    await check(
        service,
        [
            ("I write C++ at home", "c++", "I write [C++] at home"),
            ("I write C++, at home", '"c++"', "I write [C++], at home"),
            ("I write C++ at home", "c", "I write [C]++ at home"),
            ("I write C++ at home", "c#", None),
            ("I write C# at home", "C#", "I write [C#] at home"),
            ("I write C# at home", "c++", None),
            ("I write C# at home", '"c++"', None),
            ("I write C at home", "c++", None),
            ("(F#/C++17)", "f#", "([F#]/C++17)"),
            ("(F#/C++17)", "c++", "(F#/[C++]17)"),
            ("try Objective-C++", "c++", "try Objective-[C++]"),
            ("try Objective-C++", "objective-c", "try [Objective-C]++"),
            ("run g++ now", "g++", "run [g++] now"),
            ("an A+ today", "a+", "an [A+] today"),
            ("a cat", "a+", None),
            ("see a+b", "b", "see a+[b]"),
            ("the .NET runtime", ".net", "the [.NET] runtime"),
            ("an ASP.NET site", ".net", "an ASP[.NET] site"),
            ("the .NET runtime", "net", "the .[NET] runtime"),
            ("on the internet", ".net", None),
            ("a fishing net", ".net", None),
            ("a Node.js app", "node.js", "a [Node].[js] app"),
            ("for @user and #tag", "@user", "for @[user] and #tag"),
            ("for @user and #tag", "#tag", "for @user and #[tag]"),
        ],
    )


async def test_apostrophes_left_out(service: MessageService) -> None:
    await check(
        service,
        [
            ("We really don’t know them", "dont", "We really [don’t] know them"),
            ("We really dont know them", "don't", "We really [dont] know them"),
        ],
    )


async def test_hebrew_prefixes(service: MessageService) -> None:
    await check(
        service,
        [
            *(
                (f"ראיתי את {word} ברחוב", "כלב", f"ראיתי את [{word}] ברחוב")
                for word in ("כלב", "הכלב", "והכלב", "לכלב", "מהכלב", "שהכלב", "וכשהכלב", "הַכֶּלֶב")
            ),
            ("הים כחול", "ים", "[הים] כחול"),
            ("אני בבית־ספר", "בית", "אני [בבית]־ספר"),
            ("ראיתי כלב", "הכלב", None),
            ("היה לב טוב", "כלב", None),
            ("הכלבים נבחו", "כלב", None),
            ("בית יפה", "ית", None),
        ],
    )


async def test_arabic_spellings(service: MessageService) -> None:
    await check(
        service,
        [
            ("ءامنوا بالوعد", "آمنوا", "[ءامنوا] بالوعد"),
            ("ءَامَنُوا۟ بالوعد", "آمنوا", "[ءَامَنُوا۟] بالوعد"),
            ("آمنوا بالوعد", "ءامنوا", "[آمنوا] بالوعد"),
            ("ﺁﻣﻨﻮﺍ بالوعد", "امنوا", "[ﺁﻣﻨﻮﺍ] بالوعد"),
            ("هذا القرءان", "القرآن", "هذا [القرءان]"),
            ("رجل مسؤول", "مسئول", "رجل [مسؤول]"),
            ("رجل مسئول", "مسؤول", "رجل [مسئول]"),
            ("كل شيء جميل", "شئ", "كل [شيء] جميل"),
            ("مدرسة كبيرة", "مدرسه", "[مدرسة] كبيرة"),
            ("مستشفى كبير", "مستشفي", "[مستشفى] كبير"),
            ("شربت ماء", "ماي", None),
        ],
    )


async def test_marks_in_unspaced_text(service: MessageService) -> None:
    thai = "เมื่อวานฉันไปตลาดน้ำกับเพื่อน"
    await check(
        service,
        [
            (thai, "ตลาด", "เมื่อวานฉันไป[ตลาด]น้ำกับเพื่อน"),
            (thai, "น้ำ", "เมื่อวานฉันไปตลาด[น้ำ]กับเพื่อน"),
            (thai, "ทะเล", None),
            ("ຂ້ອຍໄປຕະຫຼາດນ້ຳ", "ຕະຫຼາດ", "ຂ້ອຍໄປ[ຕະຫຼາດ]ນ້ຳ"),
            ("ខ្ញុំទៅផ្សារថ្មី", "ផ្សារ", "ខ្ញុំទៅ[ផ្សារ]ថ្មី"),
            ("ကျွန်တော်ဈေးသွားတယ်", "ဈေး", "ကျွန်တော်[ဈေး]သွားတယ်"),
            ("㍿の東京と東京", "東京", "㍿の[東京]と[東京]"),
            ("私は東京が好き", "京", "私は東[京]が好き"),
            ("我去东京", "京", "我去东[京]"),
        ],
    )
