"""Adjectives, verbs and fixed expressions, one line each: English | German | French | semantic classes."""

# German: a stem after a slash where the inflected stem differs (teuer/teur-), `=` where nothing is ever added.
# French: feminine after a slash where it is not masculine + e; `<` in front: stands before its noun.
# The last column: noun classes the adjective goes with.
ADJECTIVES = """
small | klein | <petit | person animal vehicle thing plant building furniture place
big | groß | <grand | animal vehicle thing plant building furniture place
young | jung | <jeune | person animal
old | alt | <vieux/vieille | person animal vehicle clothes thing building furniture instrument tree place
new | neu | <nouveau/nouvelle | vehicle clothes thing furniture instrument
beautiful | schön | <beau/belle | vehicle clothes gift hangs toy shell feather plant building furniture instrument place
pretty | hübsch | <joli | clothes gift flower toy image mirror lamp
long | lang | <long/longue | coat dress skirt scarf necklace ladder rope train carpet bridge table bench
high | hoch/hoh | <*haut | tower wall fence mountain shelf ladder bridge
good | gut | <bon/bonne | dish drink
fat | dick | <gros/grosse | animal
red | rot | rouge | vehicle clothes colored blossom apple
blue | blau | bleu | vehicle clothes colored
green | grün | vert | vehicle clothes colored apple leaf
yellow | gelb | jaune | vehicle clothes colored blossom sunflower leaf
black | schwarz | noir | vehicle clothes colored furry instrument
white | weiß | blanc/blanche | vehicle clothes colored furry blossom piano
gray | grau | gris | vehicle clothes furry building
brown | braun | brun | clothes furry furniture instrument
purple | violett | violet/violette | clothes colored blossom
pink | rosa= | rose | clothes colored blossom
striped | gestreift | rayé | clothes cloth
colorful | bunt | coloré | clothes toy bird parrot cloth image flag
wet | nass | mouillé | in dog cat cloth wildthing bench
dirty | schmutzig | sale | vehicle clothes dishware tool openable child boy pig cloth
clean | sauber | propre | vehicle clothes dishware cloth
elegant | elegant | élégant | clothes lady
expensive | teuer/teur | cher/chère | vehicle clothes instrument device furniture hangs
happy | glücklich | heureux/heureuse | person
sad | traurig | triste | person
tired | müde | fatigué | person animal
friendly | freundlich | aimable | person
strong | stark | fort | person big
hungry | hungrig | affamé | person animal
sick | krank | malade | person animal
rich | reich | riche | person
famous | berühmt | célèbre | person building
curious | neugierig | curieux/curieuse | person animal
clever | klug | intelligent | person fox dog monkey
lazy | faul | paresseux/paresseuse | person cat
brave | mutig | courageux/courageuse | person
nervous | nervös | nerveux/nerveuse | person mount
polite | höflich | poli | person
careful | vorsichtig | prudent | person
proud | stolz | fier/fière | person
shy | schüchtern | timide | person
patient | geduldig | patient | person
furious | wütend | furieux/furieuse | person
blond | blond | blond | child boy girl man woman
wild | wild | sauvage | undomesticated
dangerous | gefährlich | dangereux/dangereuse | bear wolf lion tiger snake elephant axe saw knife motorcycle
thirsty | durstig | assoiffé | person animal
quiet | ruhig | calme | person tame
fast | schnell | rapide | vehicle
noisy | laut | bruyant | motor child boy radio
modern | modern | moderne | vehicle building furniture device
broken | kaputt | cassé | vehicle device tool toy instrument
heavy | schwer | lourd | luggage tool heavyinstrument furniture stone
light | leicht | léger/légère | luggage clothes ladder
empty | leer | vide | openablebox bucket basket glass public bottle
round | rund | rond | table mirror tent basket tower carpet pillow clock plate
strange | seltsam | étrange | thing building animal
valuable | wertvoll | précieux/précieuse | ring painting instrument clock necklace crown book carpet
dark | dunkel/dunkl | sombre | closet forest room cave hut
comfortable | bequem | confortable | chair bed sofa armchair bench shoe sweater coat car
hot | heiß | chaud | soup coffee tea potato pizza
cold | kalt | froid | drink soup meat
fresh | frisch | frais/fraîche | fruit vegetable food egg
sweet | süß | sucré | fruit cake pancake lemonade tea
ripe | reif | mûr | fruit
sour | sauer/saur | acide | fruit
delicious | köstlich | délicieux/délicieuse | dish
"""

# English: past after a slash where it is irregular, then the -ing form where the consonant doubles; `=` after it:
# a state, which takes the plain present; `+word`: preposition.
# German: third person and participle where they are strong; prefix·verb: separable; `ist`: perfect with sein.
# French: third person singular and plural, participle, future stem where they do not follow the infinitive;
# `être`: passé composé with être. Then subjects; objects (noun classes); places where it happens.
VERBS = """
[intransitive]
sleep/slept | schlafen/schläft/geschlafen | dormir/dort/dorment/dormi | person animal | | room out green farm
laugh | lachen | rire/rit/rient/ri/rir | person | | any
cry | weinen | pleurer | person | | any
sing/sang | singen/singt/gesungen | chanter | person bird | | any
dance | tanzen | danser | person | | any
swim/swam/swimming | schwimmen/schwimmt/geschwommen/ist | nager | person duck swan dog | | swim
jump | springen/springt/gesprungen/ist | sauter | person animal | | out nature
work | arbeiten/arbeitet/gearbeitet | travailler | person | | work hall shop room
play | spielen | jouer | child boy girl dog cat foal lamb monkey squirrel bear fox | | out green room
sit/sat/sitting | sitzen/sitzt/gesessen | =assis | person | | any near
stand/stood | stehen/steht/gestanden | =debout | person | | any
lie/lay/lying | liegen/liegt/gelegen | =couché | animal | | any near under
snore | schnarchen | ronfler | person dog | | room near
smile | lächeln | sourire/sourit/sourient/souri/sourir | person | | any
dream/dreamed | träumen | rêver | person | | room out
pray | beten/betet/gebetet | prier | person | | church room
whistle | pfeifen/pfeift/gepfiffen | siffler | person | | out room
shout | schreien/schreit/geschrien | crier | person | | out road hall
cough | husten/hustet/gehustet | tousser | person | | room hall
sneeze | niesen | éternuer | person | | room hall
wake up/woke up | auf·wachen/wacht/gewacht/ist | se réveiller | person animal | | room
get up/got up/getting up | auf·stehen/steht/gestanden/ist | se lever/lève/lèvent/levé/lèver | person | |
fall asleep/fell asleep | ein·schlafen/schläft/geschlafen/ist | s'endormir/endort/endorment/endormi | person animal | | room
arrive | an·kommen/kommt/gekommen/ist | arriver/être | person bus taxi tram train | | travel
leave/left | ab·fahren/fährt/gefahren/ist | partir/part/partent/parti/être | rail bus ferry | |
come back/came back | zurück·kommen/kommt/gekommen/ist | revenir/revient/reviennent/revenu/reviendr/être | person | |
run away/ran away/running away | weg·laufen/läuft/gelaufen/ist | s'enfuir/enfuit/enfuient/enfui | animal boy girl | |
go for a walk/went for a walk | spazieren ·gehen/geht/gegangen/ist | se promener/promène/promènent/promené/promèner | person | | nature green shore
[motion]
go/went | gehen/geht/gegangen/ist | aller/va/vont/allé/ir/être | person | | goal
run/ran/running | laufen/läuft/gelaufen/ist | courir/court/courent/couru/courr | person animal | | goal
go/went | fahren/fährt/gefahren/ist | aller/va/vont/allé/ir/être | bus taxi car truck ambulance tractor | | goal
rush | eilen/eilt/geeilt/ist | se précipiter | person | | goal
[transitive]
eat/ate | essen/isst/gegessen | manger | person | dish | eat room out
taste | probieren | goûter | person | dish drink | eat kitchen
drink/drank | trinken/trinkt/getrunken | boire/boit/boivent/bu | person | drink | eat room out
order | bestellen | commander | person | meal drink | eat
prepare | zu·bereiten/bereitet/bereitet | préparer | person | meal | kitchen eat
cut/cut/cutting | schneiden/schneidet/geschnitten | couper | person | fruit vegetable food cake | kitchen
peel | schälen | éplucher | person | fruitpeel vegetable | kitchen
buy/bought | kaufen | acheter/achète/achètent/acheté/achèter | person | dish gift clothes tool furnituremov toy dishware cloth hangs | shop
sell/sold | verkaufen | vendre/vend/vendent/vendu | person | dish clothes tool vehicle instrument tame flower dishware cloth hangs | shop
steal/stole | stehlen/stiehlt/gestohlen | voler | person | small luggage vehicle device | shop travel
carry | tragen/trägt/getragen | porter | person | luggage tool cloth instrument | out farm travel
hold/held | halten/hält/gehalten | tenir/tient/tiennent/tenu/tiendr | person | tool toy flower dishware wildthing small | any
throw/threw | werfen/wirft/geworfen | lancer | person | ball stone stick | out nature
pick up | auf·heben/hebt/gehoben | ramasser | person | wildthing toy small | out nature
open | auf·machen | ouvrir/ouvre/ouvrent/ouvert | person | openable |
close | zu·machen | fermer | person | openable |
turn on | ein·schalten/schaltet/geschaltet | allumer | person | devicepower | room
turn off | aus·schalten/schaltet/geschaltet | éteindre/éteint/éteignent/éteint | person | devicepower | room
put on/put on/putting on | an·ziehen/zieht/gezogen | mettre/met/mettent/mis | person | in pair | room
take off/took off | aus·ziehen/zieht/gezogen | enlever/enlève/enlèvent/enlevé/enlèver | person | in pair | room
wear/wore | tragen/trägt/getragen | porter | person | in with pair |
hang up/hung up | auf·hängen | accrocher | person | hangs | room
fold | falten/faltet/gefaltet | plier | person | towel blanket shirt map letter newspaper | room
unpack | aus·packen | déballer | person | luggage | room
wrap/wrapped/wrapping | ein·packen | emballer | person | gift | room
throw away/threw away | weg·werfen/wirft/geworfen | jeter/jette/jettent/jeté/jetter | person | readable toy clothes dishware |
tidy up | auf·räumen | ranger | person | room |
dry | ab·trocknen/trocknet/getrocknet | essuyer/essuie/essuient/essuyé/essuier | person | dishware | kitchen
wash | waschen/wäscht/gewaschen | laver | person | clothes vehicle dog fruit towel blanket curtain pillow | out
clean | putzen | nettoyer/nettoie/nettoient/nettoyé/nettoier | person | furniture pair room bicycle |
pick | pflücken | cueillir/cueille/cueillent/cueilli/cueiller | person | pick fruittree | green
water | gießen/gießt/gegossen | arroser | person | plantpot | green
plant | pflanzen | planter | person | flower bush tree vegetable | green
repair | reparieren | réparer | person | vehicle device tool toy instrument | work
paint | streichen/streicht/gestrichen | peindre/peint/peignent/peint | person | furniture house barn tower hut wall fence ship |
draw/drew | zeichnen/zeichnet/gezeichnet | dessiner | person | animal plant building vehicle wildthing | out
photograph | fotografieren | photographier | person | animal building person plant visit nature |
build/built | bauen | construire/construit/construisent/construit | person | buildable | out
ride/rode | reiten/reitet/geritten/+auf dat/ist | monter | person | mount | forest beach valley desert park
push | schieben/schiebt/geschoben | pousser | person | rolling car furnituremov | out
pull | ziehen/zieht/gezogen | tirer | person mount | rolling boat | out farm
park | parken | garer | person | car bus truck tractor taxi motorcycle scooter | road
drive/drove | fahren/fährt/gefahren | conduire/conduit/conduisent/conduit | person | drive |
load | beladen/belädt/beladen | charger | person | truck cart wheelbarrow sled ship | out farm
read/read | lesen/liest/gelesen | lire/lit/lisent/lu | person | readable | room green out
write/wrote | schreiben/schreibt/geschrieben | écrire/écrit/écrivent/écrit | person | writable book | room
find/found | finden/findet/gefunden | trouver | person | small wildthing luggage mushroom toy tool | nature out
lose/lost | verlieren/verliert/verloren | perdre/perd/perdent/perdu | person | small luggage toy pair with | nature out
watch | beobachten/beobachtet/beobachtet | observer | person cat | animal ship fly | nature out
feed/fed | füttern | nourrir/nourrit/nourrissent/nourri | person | animal | farm zoo
pet/petted/petting | streicheln | caresser | person | tame | farm out
brush | bürsten/bürstet/gebürstet | brosser | person | furry | farm
catch/caught | fangen/fängt/gefangen | attraper | person cat | small_animal ball | nature out
chase | jagen | poursuivre/poursuit/poursuivent/poursuivi | dog fox wolf | small_animal | out nature
hug/hugged/hugging | umarmen | enlacer | person | person | any
kiss | küssen | embrasser | person | person | any
greet | begrüßen | saluer | person | person | any
visit | besuchen | visiter | person | visit |
call | an·rufen/ruft/gerufen | appeler/appelle/appellent/appelé/appeller | person | person |
invite | ein·laden/lädt/geladen | inviter | person | person |
look at | an·schauen | regarder | person | image readable animal statue ship |
help | helfen/hilft/geholfen/+dat | aider | person | person | any
thank | danken/+dat | remercier | person | person |
follow | folgen/folgt/gefolgt/+dat/ist | suivre/suit/suivent/suivi | person dog | person animal | any
listen to | zu·hören/+dat | écouter | person | person bird | any
wait +for | warten/wartet/gewartet/+auf acc | attendre/attend/attendent/attendu | person | person bus taxi tram train | travel
look +for | suchen | chercher | person | small tool toy luggage tame with | any
think/thought +of | denken/denkt/gedacht/+an acc | penser/+à | person | person |
talk +to | sprechen/spricht/gesprochen/+mit | parler/+à | person | person | any
dance +with | tanzen/+mit | danser/+avec | person | person | hall out
play +with | spielen/+mit | jouer/+avec | child boy girl dog cat | toy | room out green
laugh +at | lachen/+über acc | se moquer/+de | person | person | any
play | spielen/+auf dat | jouer/+de | person | instrument | any
dream/dreamed +of | träumen/+von | rêver/+de | person | vehicle instrument person house |
look +after | auf·passen/+auf acc | surveiller | person | child tame luggage | any
ask +for | bitten/bittet/gebeten/+um acc | demander | person | meal drink gift | eat
argue +with | streiten/streitet/gestritten/+mit | se disputer/+avec | person | person | any
[ditransitive]
give/gave | geben/gibt/gegeben | donner | person | gift toy dish luggage
show/showed | zeigen | montrer | person | image readable small gift animal toy
bring/brought | bringen/bringt/gebracht | apporter | person | dish tool luggage cloth dishware
lend/lent | leihen/leiht/geliehen | prêter | person | tool instrument drive device cloth dishware
send/sent | schicken | envoyer/envoie/envoient/envoyé/enverr | person | gift writable luggage
offer | an·bieten/bietet/geboten | offrir/offre/offrent/offert | person | dish gift flower
sell/sold | verkaufen | vendre/vend/vendent/vendu | person | vehicle instrument tame clothes
return +to | zurück·geben/gibt/gegeben | rendre/rend/rendent/rendu | person | tool small luggage readable toy
[stative]
have/had= | haben/hat/gehabt | avoir/a/ont/eu/aur | person | toy instrument drive tame small device house
like= | mögen/mag/gemocht | aimer | person | animal instrument dish place
see/saw= | sehen/sieht/gesehen | voir/voit/voient/vu/verr | person | animal vehicle person building | any
hear/heard= | hören | entendre/entend/entendent/entendu | person | animal motor person | any
want= | wollen/will/gewollt | vouloir/veut/veulent/voulu/voudr | person | dish toy clothes device
own= | besitzen/besitzt/besessen | posséder/possède/possèdent/possédé | person | ownable vehicle instrument mount
show= | zeigen | montrer | image | animal building person plant vehicle |
[matrix]
say/said= | sagen | dire/dit/disent/dit | person | |
believe= | glauben | croire/croit/croient/cru | person | |
know/knew= | wissen/weiß/gewusst | savoir/sait/savent/su/saur | person | |
hope= | hoffen | espérer/espère/espèrent/espéré | person | |
"""  # noqa: E501 (one line each)

# English infinitive / third person | German and French: I / he / we / they.
MODALS = """
can | kann/kann/können/können | peux/peut/pouvons/peuvent
must | muss/muss/müssen/müssen | dois/doit/devons/doivent
want to/wants to | will/will/wollen/wollen | veux/veut/voulons/veulent
should | sollte/sollte/sollten/sollten | devrais/devrait/devrions/devraient
would like to | möchte/möchte/möchten/möchten | voudrais/voudrait/voudrions/voudraient
"""

# Subject, predicate; the German verb last in the clause. English | German subject, rest, verb | French
WEATHER = """
it is raining | es, , regnet | il pleut
it is snowing | es, , schneit | il neige
the sun is shining | die Sonne, , scheint | le soleil brille
it is cold | es, kalt, ist | il fait froid
it is windy | es, windig, ist | il y a du vent
it is getting dark | es, dunkel, wird | la nuit tombe
the weather is nice | das Wetter, schön, ist | il fait beau
"""

# Adverbials in front: the tense they go with.
TIMES = """
past | yesterday | gestern | hier
past | last week | letzte Woche | la semaine dernière
past | this morning | heute Morgen | ce matin
past | two days ago | vor zwei Tagen | il y a deux jours
past | last summer | letzten Sommer | l'été dernier
past | last year | letztes Jahr | l'année dernière
future | tomorrow | morgen | demain
future | next week | nächste Woche | la semaine prochaine
future | this evening | heute Abend | ce soir
future | in two days | in zwei Tagen | dans deux jours
future | next summer | nächsten Sommer | l'été prochain
future | soon | bald | bientôt
present | today | heute | aujourd'hui
present | at the moment | im Moment | en ce moment
present | despite the rain | trotz des Regens | malgré la pluie
"""
