"""The words by which clinical histories tell the breasts apart, one row for each language; no logic.

Every value is an alternation of regular expressions, read without regard to case except in `(?-i:...)`.
Words that mean a side in one language and something else in another ("links", "re", "dx", "sin", "lt") are
safe because only the row of the text's own language is applied, see `laterality`.
"""

# ruff: noqa: RUF001 - words of other alphabets

from __future__ import annotations

from dataclasses import dataclass

END_OF_PHRASE = r"(?=\s*(?:[).,;:/+&]|$))"
"""Behind abbreviations that are words as well: Spanish MI is "my", too, and stands before a noun then."""


@dataclass(frozen=True)
class SideWords:
    """One language.

    Attributes:
        letters: of its alphabet, beside a to z; a text with others is not in this language; None: any.
        markers: frequent words of histories; those that several languages share decide nothing.
        breast: the breast and what belongs to it.
        left, right: words of a side, with abbreviations.
        left_letter, right_letter: mean a side behind `breast`, in brackets, or as a pair; one letter.
        both, other, same: both breasts; the side that was not, or that was, named before.
        organs: whose side is not that of a breast.
        organ_first: "hombro izquierdo"; else only "left shoulder".
        general: topics that concern the patient and not one breast, wherever they stand in a sentence.
        pairs: words between two sides that are meant together.
        joints: words between two findings.
        contrasts: words that begin a clause of their own.
        short: abbreviations whose full stop ends no sentence, with spaces between.
        capital_ends: after `short`, a capital letter begins a sentence all the same.
        plain: how `left` and `right` look where no other language could be meant; of texts in two languages.
    """

    letters: str | None
    markers: str
    breast: str
    left: str
    right: str
    left_letter: str
    right_letter: str
    both: str
    other: str
    same: str
    organs: str
    organ_first: bool
    general: str
    pairs: str
    joints: str
    contrasts: str
    short: str
    capital_ends: bool
    plain: str


_QUADRANT = r"(?:uoq|uiq|loq|liq|ouq|olq|iuq|ilq)"
_PART = rf"[-\s./]*(?:breast|brst|side|sided|axilla|nipple|{_QUADRANT})"
_NOT_RIGHT = r"(?!\s+(?:now|away|after|before|from the|up to)\b)"
_NOT_LEFT = r"(?!\s+(?:untreated|alone|over|behind|the (?:country|hospital|job))\b)"

_ENGLISH = SideWords(
    letters=None,
    markers=(
        r"left|right|lt|rt|the|and|of|in|with|since|for|from|on|no|not|has|had|was|is|her|she|by|to|at|after"
        r"|before|h/o|c/o|k/c/o|lumps?|mass|pain|painful|breasts?|nipple|discharge|history|known|case|years?"
        r"|months?|weeks?|screening|follow|mother|sister|aunt|patient|pt|post|op|old|female|lady|woman"
        r"|normal|clear|both|axillary|swelling|tender|felt|palpable|mastectomy|mri|usg|ca|cancer|carcinoma"
        r"|family|see|routine|review|previous|mammogram"
    ),
    breast=r"breasts?|brst|axilla|nipple",
    left=rf"(?:left|lt){_NOT_LEFT}|l(?={_PART})|lcw|l{_QUADRANT}",
    right=rf"(?:right|rt){_NOT_RIGHT}|r(?={_PART})|rcw|r{_QUADRANT}",
    left_letter="[Ll]",
    right_letter="[Rr]",
    both=r"bilat(?:eral(?:ly)?)?|b\s?/\s?l|bil|both|either (?:breast|side)|[lr]\s?[<>=]\s?[lr]",
    other=r"contralateral|opposite (?:breast|side)|other (?:breast|side)",
    same=r"ipsilateral|same (?:breast|side)",
    organs=(
        r"shoulders?|knees?|hips?|arms?|elbows?|wrists?|hands?|thumbs?|fingers?|legs?|foot|feet|ankles?"
        r"|eyes?|ears?|kidneys?|renal|nephrectomy|lungs?|ovar\w+|adnexa\w*|thyroid|lobe|atri\w+|ventric\w+"
        r"|hemicolectomy|colon|inguinal|groin|iliac|neck|face|cheek|thigh|calf|flank|lower limb|upper limb"
        r"|handed"
    ),
    organ_first=False,
    general=(
        r"famil\w*|f/?h(?:/o)?|mother|father|sister|brother|aunt|grandmother|daughter|cousin|maternal"
        r"|paternal|screening|routine|annual|check-?up|baseline|brca\w*|h\.?r\.?t|hormon\w+|ocp"
        r"|contracepti\w+|menopaus\w*|(?:post|peri)-?meno\w*|lmp|menarche|parity|para|p\d+l\d+|lactat\w+"
        r"|pregnan\w+|diabet\w*|dm|htn|hypertens\w*|asthma|smok\w+|asymptomatic"
        r"|no (?:complaints?|symptoms?|history)|nil|known case|k/?c/?o|years? old|age[ds]?|female|lady|woman"
        r"|elsewhere|metasta\w+|unknown primary|lymphoma|thyroid|ovar\w+|endometri\w+|high risk|dense"
        r"|density"
    ),
    pairs="and|or|as well as",
    joints="and|with|plus",
    contrasts="but|while|whereas",
    short="lt rt l r dr no vs bilat bil",
    capital_ends=False,
    plain="left|right",
)

_SPANISH = SideWords(
    letters="áéíóúüñªº",
    markers=(
        r"el|la|los|las|en|de|del|desde|con|sin|por|que|un|una|hace|y|no|años?|mes|meses|semanas|paciente"
        r"|refiere|n[oó]dulos?|bulto|masa|mamas?|senos?|pecho|axilar?|pez[oó]n|dolor|mastalgia|control"
        r"|cribado|tumorecci[oó]n|antecedentes|antec|familiares|madre|hermana|mastectom[ií]a|secreci[oó]n"
        r"|derrame|cuadrante|palpable|ca"
    ),
    breast=r"mama|seno|pecho|axila|pez[oó]n|pezon",
    left=rf"izquierd[oa]s?|izq(?:d?[oa]|uier)?|izd[oa]|(?-i:MI){END_OF_PHRASE}",
    right=rf"(?<!tiene )derech[oa]s?|dr?ch[oa]|der|(?-i:MD){END_OF_PHRASE}",
    left_letter="I",
    right_letter="D",
    both=r"bilat(?:eral(?:es|mente)?)?|ambas|ambos|(?:las )?(?:dos|2) (?:mamas|senos|pechos)",
    other=r"contralateral|(?:la )?otra mama|(?:el )?otro (?:lado|pecho|seno)",
    same=r"ipsilateral|homolateral|(?:la )?misma mama|(?:el )?mismo (?:lado|pecho|seno)",
    organs=(
        r"hombros?|rodillas?|caderas?|brazos?|codos?|muñecas?|manos?|dedos?|piernas?|pies?|tobillos?|ojos?"
        r"|o[ií]dos?|riñ[oó]n(?:es)?|renal|nefrectom[ií]a|pulm[oó]n(?:es)?|pulmonar|ovarios?|ov[aá]ric[oa]s?"
        r"|anexos?|tiroides|l[oó]bulos?|colon|ingle|inguinal|cuello|cara|muslos?|flancos?|miembros?"
        r"|extremidad(?:es)?"
    ),
    organ_first=True,
    general=(
        r"famili\w*|madre|padre|hermanas?|hermanos?|t[ií]as?|abuelas?|hijas?|primas?|matern[oa]|patern[oa]"
        r"|cribado|screening|tamizaje|rutina|control anual|revisi[oó]n|brca\w*|ths|hormon\w*|anticoncep\w*"
        r"|menop[aá]us\w*|fur|menarquia|lactancia|embaraz\w*|gestaci[oó]n|diab[eé]t\w*|hta|hipertens\w*"
        r"|asma\w*|fumador\w*|asintom[aá]tica|sin (?:s[ií]ntomas|antecedentes)|años de edad|edad|mujer"
        r"|metast\w+|linfoma|densas?|densidad"
    ),
    pairs="y|e|o",
    joints="y|e|con",
    contrasts="pero|mientras|aunque",
    short="izq izqda izda izdo dcha dcho drcha der dr dra sr antec pte ca",
    capital_ends=True,
    plain="izquierd[oa]s?|derech[oa]s?",
)

_PORTUGUESE = SideWords(
    letters="áàâãçéêíóôõúüªº",
    markers=(
        r"o|os|as|em|no|na|da|do|de|com|sem|há|desde|que|um|uma|e|anos|m[eê]s|meses|paciente|refere|queixa"
        r"|n[oó]dulos?|caroço|massa|mamas?|seios?|axilas?|axilar|mamilo|dor|mastalgia|rastreio|rastreamento"
        r"|controle|antecedentes|hist[oó]ria|familiar|m[aã]e|irm[aã]|mastectomia|descarga|secreção|quadrante"
        r"|palp[aá]vel|ca"
    ),
    breast=r"mama|seio|axila|mamilo",
    left=rf"esquerd[oa]s?|esq[aª]?|(?-i:ME){END_OF_PHRASE}",
    right=rf"(?<!tem )(?<!ter )direit[oa]s?|dir[aª]?|dt[oa]|(?-i:MD){END_OF_PHRASE}",
    left_letter="E",
    right_letter="D",
    both=r"bilat(?:era(?:l|is|lmente))?|ambas|ambos|(?:as )?(?:duas|2) mamas",
    other=r"contralateral|(?:a )?outra mama|(?:o )?outro (?:lado|seio)",
    same=r"ipsilateral|homolateral|(?:a )?mesma mama|(?:o )?mesmo (?:lado|seio)",
    organs=(
        r"ombros?|joelhos?|quadril|braços?|cotovelos?|punhos?|mãos?|dedos?|pernas?|pés?|tornozelos?|olhos?"
        r"|ouvidos?|rins?|rim|renal|nefrectomia|pulm(?:ão|ões|onar)|ov[aá]rios?|ovarian[oa]s?|anexos?"
        r"|tireoide|lobos?|c[oó]lon|virilha|inguinal|pescoço|face|coxas?|flancos?|membros?"
    ),
    organ_first=True,
    general=(
        r"famili\w*|m[aã]e|pai|irm[aã]s?|irmãos?|tias?|av[oóô]s?|filhas?|primas?|matern[oa]|patern[oa]"
        r"|rastre\w+|screening|rotina|controle anual|brca\w*|trh|hormon\w*|hormôn\w*|anticoncep\w*"
        r"|menop[aá]us\w*|dum|menarca|lactação|amament\w*|gr[aá]vida|gestação|diab[eé]t\w*|has|hipertens\w*"
        r"|asma\w*|fumante\w*|assintom[aá]tica|sem (?:queixas|sintomas|antecedentes)|anos de idade|idade"
        r"|mulher|metast\w+|linfoma|densas?|densidade"
    ),
    pairs="e|ou",
    joints="e|com",
    contrasts="mas|por[eé]m|enquanto",
    short="esq esqa dir dta dto dr dra sra antec pcte ca",
    capital_ends=True,
    plain="esquerd[oa]s?|direit[oa]s?",
)

_FRENCH = SideWords(
    letters="àâäçéèêëîïôöùûüÿœæ",
    markers=(
        r"le|les|la|du|des|au|aux|de|en|avec|sans|depuis|pour|par|et|est|une?|ans|mois|semaines|patiente?"
        r"|consulte|nodules?|masse|boule|seins?|mammaire|aisselle|axillaire|mamelon|douleurs?|mastodynies?"
        r"|d[eé]pistage|contr[oô]le|ant[eé]c[eé]dents?|atcd|familiaux|m[eè]re|s[oœ]eur|sœur|mastectomie"
        r"|tumorectomie|ecoulement|[eé]coulement|quadrant|palpable|ras|normale?s?"
    ),
    breast=r"sein|aisselle|mamelon|creux axillaire",
    left=rf"gauches?|gche?|(?-i:SG){END_OF_PHRASE}",
    right=(rf"(?<!\btout )(?<!\bavoir )(?<!\bayant )(?<!\ba )droite?s?|dte?|drt|(?-i:SD){END_OF_PHRASE}"),
    left_letter="G",
    right_letter="D",
    both=r"bilat[eé]ra(?:l|le|les|ux|lement)|bilat|(?:les )?(?:deux|2) (?:seins|c[oô]t[eé]s|aisselles)",
    other=r"controlat[eé]rale?|(?:l['\u2019])?autre (?:sein|c[oô]t[eé])",
    same=r"homolat[eé]rale?|ipsilat[eé]rale?|(?:le )?m[eê]me (?:sein|c[oô]t[eé])",
    organs=(
        r"[eé]paules?|genoux?|hanches?|bras|coudes?|poignets?|mains?|doigts?|jambes?|pieds?|chevilles?|yeux"
        r"|œil|oeil|oreilles?|reins?|r[eé]nale?|n[eé]phrectomie|poumons?|pulmonaire|ovaires?|ovarienn?e?"
        r"|annexes?|thyro[iï]de|lobes?|c[oô]lon|aine|inguinale?|cou|visage|joue|cuisses?|flancs?|membres?"
    ),
    organ_first=True,
    general=(
        r"famil\w*|m[eè]re|p[eè]re|s(?:œ|oe)urs?|fr[eè]res?|tantes?|grand-?m[eè]re|filles?|cousines?"
        r"|maternelle?|paternelle?|d[eé]pistage|syst[eé]matique|annuel\w*|bilan|brca\w*|ths|hormon\w*"
        r"|contracepti\w*|pilule|m[eé]nopaus\w*|ddr|allaite\w*|grossesse|enceinte|diab[eé]t\w*|hta"
        r"|hypertens\w*|asthm\w*|tabac\w*|fumeuse|asymptomatique|sans (?:sympt[oô]mes|ant[eé]c[eé]dents?)"
        r"|âg[eé]e|femme|m[eé]tastas\w+|lymphome|denses?|densit[eé]"
    ),
    pairs="et|ou",
    joints="et|avec",
    contrasts="mais|tandis|alors",
    short="gche gch g d dt dte drt dr pr mme atcd",
    capital_ends=True,
    plain="gauches?|droites?",
)

_GERMAN = SideWords(
    letters="äöüß",
    markers=(
        r"der|die|das|den|dem|des|ein|eine|und|mit|ohne|seit|bei|im|am|zur|zum|von|vor|nach|ist|keine?|kein"
        r"|jahren?|monaten|wochen|mon|patientin|pat|z\.\s?n|v\.\s?a|knoten|herd|tastbar\w*|tastbefund|brust"
        r"|br[uü]ste|mammae?|axill[aä]r?e?|mamille|mamillen\w*|schmerz\w*|mastodynie|mammakarzinom|mamma-?ca"
        r"|ablatio|bet|kontrolle|vorsorge|familienanamnese|mutter|schwester|sekretion"
        r"|unauff[aä]llig\w*|rötung|abkl[aä]rung"
    ),
    breast=r"brust|mamma|axilla|achsel|mamille",
    left=r"linke[rnsm]?|links(?:seitig\w*)?|li",
    right=r"rechte[rnsm]?|rechts(?:seitig\w*)?|re(?!-)",
    left_letter="L",
    right_letter="R",
    both=r"beid(?:seit\w*|erseits|e|er|en)|bds|bilateral\w*",
    other=r"kontralateral\w*|gegenseite|(?:die |der )?andere[rnsm]? (?:brust|seite|mamma)",
    same=r"ipsilateral\w*|homolateral\w*|(?:der|die|den)?selben? (?:brust|seite|mamma)|gleichseitig\w*",
    organs=(
        r"schultern?|knies?|h[uü]ften?|h[uü]ft\w+|arme?s?|oberarme?s?|unterarme?s?|ellenbogen|handgelenke?s?"
        r"|hand|h[aä]nde|finger|daumen|beine?s?|fuß|füße|sprunggelenke?s?|augen?|ohr|ohren|nieren?"
        r"|nephrektomie|lungen?|ovar\w*|eierst[oö]ck\w*|adnex\w*|schilddr[uü]se\w*|lappen|kolon|colon"
        r"|hemikolektomie|leiste|hals|gesicht|wange|oberschenkel|flanke"
    ),
    organ_first=True,
    general=(
        r"famili\w*|mutter|vater|schwestern?|bruder|br[uü]der|tanten?|großmutter|oma|tochter|cousinen?"
        r"|screening|vorsorge\w*|routine\w*|früherkennung\w*|brca\w*|hrt|hormon\w*|pille|kontrazep\w*"
        r"|menopaus\w*|(?:post|peri|pr[aä])menopaus\w*|stillzeit|stillt|schwanger\w*|diabet\w*|hypert\w*"
        r"|asthma|rauch\w+|asymptomatisch|beschwerdefrei|keine (?:beschwerden|symptome)|jährige?|alter"
        r"|patientin|metastas\w+|lymphom|dicht\w*|links?h[aä]nd\w*|rechtsh[aä]nd\w*"
    ),
    pairs=r"und|u\.?|oder|sowie",
    joints=r"und|u\.|mit|sowie",
    contrasts="aber|jedoch|w[aä]hrend",
    short="li re bds ca z.n v.a dr pat lt ggf bzw u mon",
    capital_ends=False,
    plain="linke[rnsm]?|rechte[rnsm]?|linksseitig|rechtsseitig",
)

_ITALIAN = SideWords(
    letters="àèéìíîòóùú",
    markers=(
        r"il|lo|la|gli|le|di|del|della|al|alla|nel|nella|da|dal|con|senza|per|e|un|una|anni|mes[ei]"
        r"|settimane|paziente|riferisce|nodul[oi]|tumefazione|massa|mammell[ae]|mamm[ae]|sen[oi]|ascell[ae]"
        r"|ascellare|capezzolo|dolor[ei]|mastodinia|controllo|anamnesi|familiarit[aà]|familiare"
        r"|madre|sorella|mastectomia|quadrantectomia|secrezione|quadrante|palpabile|pregress[oa]|ca"
    ),
    breast=r"mammella|mamma|seno|ascella|capezzolo",
    left=r"sinistr[oaie](?! stradale)|sx|sn|sin(?=\.)|(?<=mammella )sin|(?<=seno )sin",
    right=r"destr[oaie]|dx|dex",
    left_letter="S",
    right_letter="D",
    both=r"bilat(?:eral[ei]|eralmente)?|entramb[ei]|ambedue|ambo i lati|(?:le )?due mammelle",
    other=r"controlateral[ei]|(?:l['\u2019])?altra mammella|(?:l['\u2019])?altro (?:lato|seno)",
    same=r"omolateral[ei]|ipsilateral[ei]|(?:la )?stessa mammella|(?:lo )?stesso (?:lato|seno)",
    organs=(
        r"spall[ae]|ginocchi[oa]|anc[ah]e?|bracci[oa]|gomit[oi]|pols[oi]|man[oi]|dit[oa]|gamb[ae]|pied[ei]"
        r"|cavigli[ae]|occhi[oa]?|orecchi[oae]?|ren[ei]|renale|nefrectomia|polmon[ei]|polmonare|ovai[oae]"
        r"|ovaric[oa]|annessi(?:ale)?|tiroide|lob[oi]|colon|inguine|inguinale|collo|viso|guancia|cosci[ae]"
        r"|fianc[oh]i?|art[oi]|emicolectomia"
    ),
    organ_first=True,
    general=(
        r"famili\w*|madre|padre|sorell[ae]|fratell[oi]|zi[ae]|nonn[ae]|figli[ae]|cugin[ae]|matern[oa]"
        r"|patern[oa]|screening|routine|controllo annuale|brca\w*|tos|ormon\w*|contracce\w*|pillola"
        r"|menopaus\w*|um|menarca|allatta\w*|gravidanza|diabet\w*|iperten\w*|asma\w*|fuma\w*|asintomatica"
        r"|senza (?:sintomi|disturbi)|anni di et[aà]|et[aà]|donna|metastas\w+|linfoma|dens[ei]|densit[aà]"
    ),
    pairs="e|ed|o",
    joints="e|ed|con",
    contrasts="ma|mentre|però",
    short="sx dx sn sin dex dr dott sig ca pz",
    capital_ends=True,
    plain="sinistr[oaie]",
)

_DUTCH = SideWords(
    letters="áàäéèëïíóöüúĳ",
    markers=(
        r"de|het|een|en|van|met|zonder|sinds|bij|op|voor|na|door|is|geen|jaar|maanden|weken|patiënte?"
        r"|pati[eë]nte?|knobbel\w*|knobbeltje|zwelling|palpabel\w*|borst|borsten|mammae?|oksel|tepel\w*"
        r"|pijn\w*|mastopathie|mammacarcinoom|controle|bevolkingsonderzoek|familieanamnese|moeder|zus"
        r"|ablatio|amputatie|uitvloed|status|voorgeschiedenis|vg|gb|klachten"
    ),
    breast=r"borst|mamma|oksel|tepel",
    left=r"linker(?:-?(?:borst|mamma|zijde|kant|oksel|tepel)|zijdig\w*)?|links(?:zijdig\w*)?|li",
    right=r"rechter(?:-?(?:borst|mamma|zijde|kant|oksel|tepel)|zijdig\w*)?|rechts(?:zijdig\w*)?|re(?!-)",
    left_letter="L",
    right_letter="R",
    both=r"beide|beiderzijds|beidzijds|bdz|bdzs|bilatera\w+|dubbelzijdig\w*|tweezijdig\w*",
    other=r"contralatera\w+|(?:de )?andere (?:borst|kant|zijde)",
    same=r"ipsilatera\w+|homolatera\w+|(?:de)?zelfde (?:borst|kant|zijde)",
    organs=(
        r"schouders?|knie(?:ën)?|heup(?:en)?|armen?|arm|elleboog|pols|hand|handen|vingers?|duim|been|benen"
        r"|voet|voeten|enkels?|oog|ogen|oor|oren|nier|nieren|nefrectomie|long|longen|ovari\w+|eierstok\w*"
        r"|adnex\w*|schildklier|kwab|colon|hemicolectomie|lies|hals|gezicht|wang|bovenbeen|flank"
    ),
    organ_first=True,
    general=(
        r"famili\w*|moeder|vader|zus|zussen|zuster|broers?|tantes?|oma|dochters?|nicht|bevolkingsonderzoek"
        r"|screening|routine\w*|jaarlijks\w*|brca\w*|hst|hormon\w*|hormoon\w*|pil|anticoncep\w*|menopau\w*"
        r"|overgang|lactatie|borstvoeding|zwanger\w*|diabet\w*|hypert\w*|astma|roker|rookt|asymptomatisch"
        r"|geen (?:klachten|symptomen)|leeftijd|jarige|vrouw|metasta\w+|lymfoom|dens|dicht\w*"
        r"|(?:linker|rechter)-?\s?(?:arm|been|knie|hand|schouder|heup|nier|long|oog|oor|voet|ovarium)"
    ),
    pairs="en|of",
    joints="en|met",
    contrasts="maar|terwijl|echter",
    short="li re bdz bdzs dr pat pt i.v.m ca evt",
    capital_ends=True,
    plain="linkerborst|rechterborst|linkermamma|rechtermamma|linker|rechter",
)

_RUSSIAN = SideWords(
    letters="абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    markers=(
        r"и|в|с|на|у|от|по|без|не|нет|при|за|из|около|лет|года?|мес|месяц\w*|недел\w+|пациентк\w+|жалоб\w*"
        r"|образовани\w+|узел|узл\w+|уплотнени\w+|молочн\w+|желез\w*|мж|груд\w+|подмыш\w+|аксил\w+|сосок"
        r"|соск\w+|бол[иьея]\w*|мастодини\w+|мастопати\w+|рак\w*|анамнез\w*|мать|матер\w+|сестр\w+"
        r"|мастэктоми\w+|выделени\w+|пальпир\w+|скрининг\w*|контроль|осмотр|состояние|после"
    ),
    breast=(
        r"мж|молочной железы|молочной железе|молочная железа|молочную железу|грудь|груди|сосок|соска"
        r"|подмышк\w+"
    ),
    left=(
        r"лев(?:ая|ой|ую|ое|ого|ому|ом|ый|ым|ые|ых|ыми)|слева|влево|левосторонн\w+|лев(?=\.)|(?-i:ЛМЖ)"
        r"|л(?=\.?\s?(?:м/?ж|молоч))"
    ),
    right=(
        r"прав(?:ая|ой|ую|ое|ого|ому|ом|ый|ым|ые|ых|ыми)|справа|вправо|правосторонн\w+|прав(?=\.)|(?-i:ПМЖ)"
        r"|пр?(?=\.?\s?(?:м/?ж|молоч))"
    ),
    left_letter="Л",
    right_letter="П",
    both=r"обе|обеих|обеим|обеими|обоих|двусторонн\w+|двухсторонн\w+|билатеральн\w+|с (?:двух|обеих) сторон",
    other=(
        r"контр?алатеральн\w+|друг(?:ая|ой|ую) (?:груд\w+|молочн\w+ желез\w+|сторон\w+)"
        r"|противоположн\w+ сторон\w+"
    ),
    same=r"ипсилатеральн\w+|(?:той|та|ту) же (?:груд\w+|молочн\w+ желез\w+|сторон\w+|стороне)",
    organs=(
        r"плеч\w+|колен\w+|бедр\w+|рук[аиуе]|рукой|локт\w+|локоть|запяст\w+|кист[ьи] руки|пал[её]ц|пальц\w+"
        r"|ног[аиуе]|ногой|стоп\w+|голеностоп\w*|глаз\w*|ух[оа]|уши|почк\w+|почек|нефрэктоми\w+|л[её]гк\w+"
        r"|яичник\w*|придат\w+|щитовидн\w+|дол[яией]\w*|толст\w+ кишк\w+|пах\w*|паху|ше[яией]\w*|лиц[оа]"
        r"|щек[аи]|конечност\w+|бок[ау]?|лопатк\w+"
    ),
    organ_first=True,
    general=(
        r"семейн\w+|семь[ея]\w*|мать|матер\w+|мам[аы]|отец|отца|сестр\w+|брат\w*|т[её]т[яией]\w*|бабушк\w+"
        r"|дочь|дочери|наследственн\w+|онкоанамнез|скрининг\w*|профосмотр\w*|профилактич\w+|диспансер\w*"
        r"|планов\w+|brca\w*|згт|гормон\w+|контрацеп\w+|менопауз\w+|климак\w+|постменопауз\w*|менархе"
        r"|лактац\w+|беременн\w+|диабет\w*|гипертон\w+|гипертенз\w+|астм\w+|кур(?:ит|ение)|жалоб нет"
        r"|без жалоб|жалоб не|бессимптомн\w*|возраст\w*|женщин\w+|метаста\w+|лимфом\w+|плотност\w+|левш[аи]"
        r"|правш[аи]"
    ),
    pairs="и|или",
    joints="и|а также|с",
    contrasts="но|а|однако|тогда как",
    short="лев прав л п пр м ж мес г гг см др обр",
    capital_ends=True,
    plain="слева|справа|лев(?:ая|ой|ую|ого)|прав(?:ая|ой|ую|ого)",
)

_MEDIAL = r"(?:एं|एँ|ए|यें|यीं|ईं|यां|याँ|या|ये|यी)"

_HINDI = SideWords(
    letters=None,
    markers=(
        r"में|मे|से|का|की|के|को|है|हैं|और|एवं|नहीं|तथा|पर|कोई|साल|वर्ष|महीने|माह|दिन|स्तन\w*|स्तनों|छाती"
        r"|ब्रेस्ट|गांठ|गाँठ|दर्द|सूजन|निप्पल|निपल|चूचुक|बगल|कांख|काँख|स्राव|इतिहास|परिवार|माँ|मां|बहन|कैंसर"
        r"|जांच|मरीज|रोगी|सामान्य|शिकायत|mein|mei|hai|ka|ki|aur|nahi|se|saal|mahine|mahina|stan|chhati|chati"
        r"|gaanth|ganth|gath|dard|sujan|maa|behen"
    ),
    breast=r"स्तन|ब्रेस्ट|छाती|निप्पल|निपल|बगल|कांख|काँख|breast|stan|chhati|chati",
    left=rf"(?:बा|बाँ|बां){_MEDIAL}|वाम|लेफ्ट|(?:left|lt){_NOT_LEFT}|baa?y(?:e|en|ein|i|in|een|an|a)|baain|bayaan",
    right=(
        rf"(?:दा|दाँ|दां){_MEDIAL}|दाहिन[ाेी]|दाहिनें|राइट|(?:right|rt){_NOT_RIGHT}"
        rf"|daa?y(?:e|en|ein|i|in|een|an|a)|daain|daa?hin[aei]"
    ),
    left_letter="[Ll]",
    right_letter="[Rr]",
    both=r"दोनों|दोनो|द्विपक्षीय|bilateral|b\s?/\s?l|both|donon?",
    other=r"दूसर[ेी] (?:स्तन|तरफ|ओर|छाती)|contralateral",
    same=r"उसी (?:स्तन|तरफ|ओर|छाती)|ipsilateral",
    organs=(
        r"कंध[ेाों]+|घुटन[ेाों]+|कूल्ह[ेाों]+|हाथ|हाथों|बांह|बाँह|बाजू|भुजा|कोहनी|कलाई|उंगली|अंगुली|पैर"
        r"|पैरों|टखन[ेा]|आंख|आँख|कान|गुर्द[ेा]|किडनी|फेफड़[ेा]|अंडाशय|डिंबग्रंथि|थायरॉइड|गर्दन|चेहर[ेा]|गाल"
        r"|जांघ|कमर|पेट|shoulder|knee|arm|hand|leg|eye|ear|kidney|ovary|haath|kandh[ea]|ghutn[ea]"
    ),
    organ_first=False,
    general=(
        r"परिवार|पारिवारिक|माँ|मां|माता|पिता|बहन|भाई|मौसी|बुआ|चाची|दादी|नानी|बेटी|स्क्रीनिंग|नियमित|हार्मोन"
        r"|गर्भनिरोधक|रजोनिवृत्ति|मासिक|माहवारी|गर्भवती|स्तनपान|मधुमेह|डायबिटीज|शुगर|रक्तचाप|बीपी|दमा|अस्थमा"
        r"|धूम्रपान|कोई शिकायत नहीं|उम्र|आयु|वर्षीय|महिला|मेटास्टेसिस|family|mother|sister|screening"
        r"|diabet\w*|parivar|maa|behen"
    ),
    pairs="और|एवं|व|तथा|या|and|aur",
    joints="और|एवं|तथा|and|aur|with",
    contrasts="लेकिन|परंतु|परन्तु|किंतु|किन्तु|जबकि|मगर|but|lekin|par",
    short="lt rt डॉ डा dr",
    capital_ends=False,
    plain="(?:बा|बाँ|बां)(?:एं|एँ|यें|यीं|ईं)|(?:दा|दाँ|दां)(?:एं|एँ|यें|यीं|ईं)|दाहिन[ाेी]",
)

LANGUAGES: dict[str, SideWords] = {
    "English": _ENGLISH,
    "Spanish": _SPANISH,
    "Portuguese": _PORTUGUESE,
    "French": _FRENCH,
    "German": _GERMAN,
    "Italian": _ITALIAN,
    "Dutch": _DUTCH,
    "Russian": _RUSSIAN,
    "Hindi": _HINDI,
}
"""In the order in which a tie is decided; the first is taken for what nobody knows."""
